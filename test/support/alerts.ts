import { YAML } from 'bun';

type Rule = {
  alert: string;
  expr: string;
  for?: string;
  labels: Record<string, string>;
  annotations: Record<string, string>;
};

/** The rules of `ops/alerts.yml`. */
export const readAlerts = async (): Promise<Rule[]> => {
  const text = await Bun.file(`${import.meta.dir}/../../ops/alerts.yml`).text();
  return (YAML.parse(text) as { groups: { rules: Rule[] }[] }).groups.flatMap(({ rules }) => rules);
};
