/** ops/kubernetes, built by Kustomize and decoded into the API's Go types. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from 'bun:test';
import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { $ } from 'bun';
import packageJson from '../../package.json' with { type: 'json' };
import { readConfig } from '../../src/config/read-config.ts';
import { settings } from '../../src/config/settings.ts';

setDefaultTimeout(60_000);

const root = join(import.meta.dir, '../..');
const dir = await mkdtemp(join(tmpdir(), 'kubernetes-'));
afterAll(() => rm(dir, { recursive: true, force: true }));

// biome-ignore lint/suspicious/noExplicitAny: each is an object of another kind
type Objects = any[];

const read = async (folder = join(root, 'ops/kubernetes')): Promise<Objects | string> => {
  const { exitCode, stdout, stderr } = await $`${join(dir, 'check')} ${folder}`.nothrow().quiet();
  return exitCode === 0 ? JSON.parse(String(stdout)) : String(stderr).trim();
};

beforeAll(async () => {
  await $`go build -gcflags=${'all=-N -l'} -o ${join(dir, 'check')} .`
    .cwd(join(import.meta.dir, 'check'))
    .env({ ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly', GOWORK: 'off' })
    .quiet();
}, 600_000);

test('every object is valid for the API; an unknown field or a wrong value is rejected', async () => {
  const objects = (await read()) as Objects;
  expect(objects.map(({ kind }) => kind).sort()).toEqual([
    'ConfigMap',
    'Deployment',
    'HorizontalPodAutoscaler',
    'Job',
    'NetworkPolicy',
    'PodDisruptionBudget',
    'Service',
    'ServiceMonitor',
  ]);
  const wrong: [string, string, string, RegExp][] = [
    ['deployment.yaml', 'readinessProbe:', 'readynessProbe:', /unknown field "readynessProbe"/],
    ['deployment.yaml', 'memory: 512Mi', 'memory: 512MB', /quantit/],
    ['autoscaler.yaml', 'maxReplicas: 8', 'maxReplicas: eight', /maxReplicas/],
    ['service-monitor.yaml', 'endpoints:', 'endpoint:', /unknown field "endpoint"/],
    ['kustomization.yaml', '  - service.yaml\n', '  - services.yaml\n', /services.yaml/],
  ];
  for (const [file, right, instead, complaint] of wrong) {
    const copy = join(dir, 'wrong');
    await cp(join(root, 'ops/kubernetes'), copy, { recursive: true, force: true });
    const text = await Bun.file(join(copy, file)).text();
    expect(text).toContain(right);
    await Bun.write(join(copy, file), text.replace(right, instead));
    expect(await read(copy)).toMatch(complaint);
  }
});

test('labels, ports, probes and the number of replicas of the objects match', async () => {
  const objects = (await read()) as Objects;
  const of = (kind: string) => objects.find((object) => object.kind === kind);
  const deployment = of('Deployment');
  const { template, selector } = deployment.spec;
  const labels = { 'app.kubernetes.io/name': 'order-lookup', 'app.kubernetes.io/component': 'service' };
  expect([template.metadata.labels, selector.matchLabels]).toEqual([labels, labels]);
  expect(of('Service').spec.selector).toEqual(labels);
  expect(of('PodDisruptionBudget').spec.selector.matchLabels).toEqual(labels);
  expect(of('ServiceMonitor').spec.selector.matchLabels).toEqual(labels);
  expect(of('Service').metadata.labels).toEqual(labels);
  expect(of('NetworkPolicy').spec.podSelector.matchLabels).toEqual({
    'app.kubernetes.io/name': 'order-lookup',
  });
  expect(of('Job').spec.template.metadata.labels['app.kubernetes.io/component']).not.toBe('service');

  const [container] = template.spec.containers;
  const ports = container.ports.map(({ name }: { name: string }) => name);
  const named = [
    ...of('Service').spec.ports.map(({ targetPort }: { targetPort: string }) => targetPort),
    ...of('ServiceMonitor').spec.endpoints.map(({ port }: { port: string }) => port),
    ...of('NetworkPolicy').spec.ingress.flatMap((rule: { ports: { port: string }[] }) =>
      rule.ports.map(({ port }) => port),
    ),
    ...['startupProbe', 'livenessProbe', 'readinessProbe'].map((probe) => container[probe].httpGet.port),
  ];
  expect(named.filter((port) => !ports.includes(port))).toEqual([]);

  const scaled = of('HorizontalPodAutoscaler').spec;
  expect(scaled.scaleTargetRef).toMatchObject({ kind: 'Deployment', name: deployment.metadata.name });
  expect([scaled.minReplicas >= 2, scaled.maxReplicas]).toEqual([
    true,
    Number(of('ConfigMap').data.KAFKA_PARTITIONS),
  ]);
  // As long as a stop may take: STOP_DELAY and 9.5 s.
  expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(15);
});

test('the ConfigMap holds valid settings only, and the image has this version', async () => {
  const objects = (await read()) as Objects;
  const configMap = objects.find(({ kind }) => kind === 'ConfigMap');
  const variables = Object.values(settings).map(({ variable }) => variable as string);
  expect(Object.keys(configMap.data).filter((variable) => !variables.includes(variable))).toEqual([]);
  const config = readConfig({ ...configMap.data, DATABASE_PASSWORD: 'secret' });
  for (const { kind, spec } of objects.filter((object) => ['Deployment', 'Job'].includes(object.kind))) {
    const [container] = spec.template.spec.containers;
    expect([kind, container.image]).toEqual([
      kind,
      `registry.example.com/order-lookup:${packageJson.version}`,
    ]);
    expect(container.envFrom[0].configMapRef.name).toBe(configMap.metadata.name);
    expect([container.resources.limits.memory !== undefined, container.securityContext]).toEqual([
      true,
      { allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] } },
    ]);
    for (const { containerPort, name } of container.ports ?? [])
      expect(containerPort).toBe(name === 'metrics' ? (config.metricsPort as number) : config.port);
  }
});
