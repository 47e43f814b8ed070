/** All strings of the console. */

const en = {
  console: 'Console',
  overview: 'Overview',
  menu: 'Console',
  toPage: 'Look up an order',
  skip: 'To the content',

  logIn: 'Log in',
  logOut: 'Log out',
  loginHint: 'The console is for operators. Each has a token, which CONSOLE_TOKENS names.',
  token: 'Token',
  operator: 'Logged in as {name}',
  wrongToken: 'No operator has this token.',
  tooManyTokens: 'Too many wrong tokens. Wait a minute and try again.',
  elsewhere: 'This request came from a page of another site and was refused. Nothing has changed.',

  parts: 'Parts of this process',
  part: 'Part',
  state: 'State',
  reason: 'Reason',
  health: { ready: 'ready', degraded: 'degraded', unready: 'not ready', stopping: 'stopping' },
  partStates: {
    works: 'works',
    degraded: 'degraded',
    away: 'does not answer',
    off: 'not used',
    warming: 'warming up',
  },
  partNames: {
    postgres: 'PostgreSQL',
    standby: 'Standby of PostgreSQL',
    redis: 'Redis',
    kafka: 'Kafka',
    consumers: 'Consumers',
    offsets: 'Offsets',
    cache: 'Cache',
  },
  onlyThisProcess:
    'This is one process, {host}. For all replicas together and for longer times, use Grafana: the dashboard is in ops/.',
};

export type Words = typeof en;

const ru: Words = {
  console: 'Консоль',
  overview: 'Обзор',
  menu: 'Консоль',
  toPage: 'Найти заказ',
  skip: 'К содержанию',

  logIn: 'Войти',
  logOut: 'Выйти',
  loginHint: 'Консоль — для операторов. У каждого свой токен, их перечисляет CONSOLE_TOKENS.',
  token: 'Токен',
  operator: 'Вы вошли как {name}',
  wrongToken: 'Оператора с таким токеном нет.',
  tooManyTokens: 'Слишком много неверных токенов. Подождите минуту и попробуйте ещё раз.',
  elsewhere: 'Запрос пришёл со страницы другого сайта и отклонён. Ничего не изменилось.',

  parts: 'Части этого процесса',
  part: 'Часть',
  state: 'Состояние',
  reason: 'Причина',
  health: { ready: 'готов', degraded: 'работает не полностью', unready: 'не готов', stopping: 'завершается' },
  partStates: {
    works: 'работает',
    degraded: 'работает не полностью',
    away: 'не отвечает',
    off: 'не используется',
    warming: 'прогревается',
  },
  partNames: {
    postgres: 'PostgreSQL',
    standby: 'Реплика PostgreSQL',
    redis: 'Redis',
    kafka: 'Kafka',
    consumers: 'Потребители',
    offsets: 'Смещения',
    cache: 'Кэш',
  },
  onlyThisProcess:
    'Это один процесс, {host}. Все реплики вместе и большие промежутки времени показывает Grafana: дашборд лежит в ops/.',
};

export const consoleWords = { ru, en };
