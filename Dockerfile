# The image is pinned by version; the lock file pins all packages.
FROM oven/bun:1.4.5-slim AS packages
WORKDIR /app
COPY package.json bun.lock bunfig.toml ./
COPY patches patches
# The lock file lists the workspace, so its package.json has to exist; `--filter` skips its dependencies.
COPY packages/kafka-broker/package.json packages/kafka-broker/
# No development tools, no peer compilers, and no embedded services: this image runs on configured services.
RUN bun install --frozen-lockfile --production --omit=optional --omit=peer --filter '!kafka-broker'

FROM oven/bun:1.4.5-slim
LABEL org.opencontainers.image.title="Order Lookup" \
      org.opencontainers.image.description="Orders from a Kafka stream, kept in PostgreSQL, looked up at once" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
WORKDIR /app
ENV NODE_ENV=production HOST=0.0.0.0 PORT=8081
COPY --from=packages /app/node_modules node_modules
COPY package.json tsconfig.json producer.ts LICENSE ./
COPY migrations migrations
COPY views views
COPY scripts/migrate.ts scripts/dead-letters.ts scripts/replay.ts scripts/orders.ts scripts/
COPY src src
# The base image's user bun. As a number, so that Kubernetes can verify runAsNonRoot.
USER 1000:1000
EXPOSE 8081
# Exec form: Bun receives SIGTERM itself.
CMD ["bun", "src/main.ts"]
