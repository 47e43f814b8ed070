import { parseDatabaseUrl, withPassword } from '../postgres/url.ts';
import { type Config, type Setting, settings } from './settings.ts';

type Environment = Record<string, string | undefined>;

/**
 * The environment as a typed configuration. Nothing else reads the environment. Throws an Error of one line for the first variable whose
 * value is not allowed: the variable, its value and what is allowed.
 */
export const readConfig = (environment: Environment): Config => {
  const config: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings) as [string, Setting<unknown>][]) {
    const given = environment[setting.variable] || setting.default;
    const value = setting.read(given);
    if (value === undefined) {
      const holds = setting.secret ? 'a value that is not shown' : JSON.stringify(given);
      const fault = setting.fault?.(given);
      throw new Error(
        `${setting.variable} holds ${holds}${fault ? `, ${fault}` : `; allowed: ${setting.allowed}`}`,
      );
    }
    config[name] = value;
  }
  const contradiction = contradictionIn(config as Config, environment);
  if (contradiction) throw new Error(contradiction);
  const { databaseUrl, databaseReadUrl, databasePassword } = config as Config;
  if (databasePassword === '') return config as Config;
  const withBoth = databaseUrl === null ? undefined : withPassword(databaseUrl, databasePassword);
  if (withBoth === undefined)
    throw new Error('DATABASE_PASSWORD is set; it needs a DATABASE_URL with a user and without a password');
  // One that has a password keeps it.
  const reading = databaseReadUrl && (withPassword(databaseReadUrl, databasePassword) ?? databaseReadUrl);
  return { ...(config as Config), databaseUrl: withBoth, databaseReadUrl: reading };
};

/** Values that are allowed alone, but not together. */
const contradictionIn = (config: Config, environment: Environment) => {
  const { port, metricsPort, metricsHost, topic, deadLetterTopic, kafkaSsl, kafkaCertificate, kafkaKey } =
    config;
  if (metricsPort !== null && metricsPort === port && port !== 0)
    return `METRICS_PORT holds "${port}"; allowed: another port than PORT`;
  // PORT would serve the metrics that were meant for one address.
  if (metricsHost !== null && metricsPort === null) return 'METRICS_PORT is not set; METRICS_HOST needs it';
  // Each dead letter would be read, refused and sent again, for ever.
  if (topic === deadLetterTopic)
    return `KAFKA_DLQ_TOPIC holds ${JSON.stringify(topic)}; allowed: another name than KAFKA_TOPIC`;
  if (config.databaseReadUrl !== null && config.databaseUrl === null)
    return 'DATABASE_URL is not set; DATABASE_READ_URL needs it';
  const target = parseDatabaseUrl(config.databaseUrl ?? '')?.target;
  if (config.serve.has('consumer') && (target === 'standby' || target === 'read-only'))
    return `DATABASE_URL asks for target_session_attrs=${target}; it may be read-write, primary, prefer-standby or any where orders are stored (DATABASE_READ_URL names a standby)`;
  const login = {
    KAFKA_SASL_MECHANISM: config.saslMechanism,
    KAFKA_SASL_USERNAME: config.saslUsername,
    KAFKA_SASL_PASSWORD: config.saslPassword,
  };
  const certificate = { KAFKA_SSL_CERT: kafkaCertificate, KAFKA_SSL_KEY: kafkaKey };
  const lacking = lackingOf(login) ?? lackingOf(certificate);
  if (lacking) return lacking;
  if (kafkaCertificate && !kafkaSsl) return 'KAFKA_SSL holds "false"; KAFKA_SSL_CERT needs true';
  if (config.brokers === null && (kafkaSsl || config.saslMechanism))
    return 'KAFKA_BROKERS is not set; KAFKA_SSL and KAFKA_SASL_MECHANISM need it';
  if (environment.NODE_TLS_REJECT_UNAUTHORIZED === '0')
    return 'NODE_TLS_REJECT_UNAUTHORIZED holds "0"; allowed: nothing, as certificates are verified (NODE_EXTRA_CA_CERTS adds authorities)';
  return undefined;
};

/** The first missing one of settings that only make sense together, if there is one. */
const lackingOf = (together: Record<string, unknown>) => {
  const given = Object.keys(together).filter((variable) => together[variable]);
  const missing = Object.keys(together).find((variable) => !together[variable]);
  return given.length > 0 && missing ? `${missing} is not set; ${given[0]} needs it` : undefined;
};
