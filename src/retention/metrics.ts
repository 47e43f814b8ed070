import type { Readings } from '../observability/metrics/reading.ts';
import type { Retention } from './retention.ts';

export const addRetentionMetrics = (
  { gauge, counter }: Readings,
  retention: Pick<Retention, 'deleted' | 'oldestAgeSeconds' | 'behindSeconds'>,
) => {
  counter({
    name: 'orders_expired_total',
    help: 'Orders that this process deleted because they were older than ORDER_RETENTION_DAYS',
    read: retention.deleted,
  });
  gauge({
    name: 'orders_oldest_age_seconds',
    help: 'Age of the oldest order, by its date_created; 0 without orders, absent while it is not known',
    read: retention.oldestAgeSeconds,
  });
  gauge({
    name: 'orders_retention_behind_seconds',
    help: 'How long ago this process last knew that no order was older than ORDER_RETENTION_DAYS; below 120 normally',
    read: retention.behindSeconds,
  });
};
