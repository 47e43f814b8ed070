type Matcher = { label: string; operator: string; value: string };
type Selector = { metric: string; matchers: Matcher[] };

const operators = new Set(['and', 'or', 'unless', 'bool', 'offset']);
const grouping = /\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)/g;

/** What a PromQL expression selects, and the labels by which it groups: no parser, but enough to find a name that there is not. */
export const namesIn = (expression: string): { selectors: Selector[]; labels: string[] } => {
  const labels = [...expression.matchAll(grouping)].flatMap(([, list = '']) => list.match(/\w+/g) ?? []);
  const rest = expression.replace(grouping, ' ').replace(/\[[^\]]*\]/g, ' ');
  const selectors = [...rest.matchAll(/\b([a-zA-Z_:][\w:]*)\b(?!\s*\()(?:\s*\{([^}]*)\})?/g)]
    .filter(([, metric = '']) => !operators.has(metric))
    .map(([, metric = '', list = '']) => ({
      metric,
      matchers: [...list.matchAll(/(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"/g)].map(
        ([, label = '', operator = '', value = '']) => ({ label, operator, value }),
      ),
    }));
  return { selectors, labels };
};
