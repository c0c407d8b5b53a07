# docker build -t asterisk-iac:0.1.0 .
FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No scripts: nothing of what is needed here is compiled, and Node is this image's own.
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --omit=optional --ignore-scripts

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
USER 65532:65532
# 8080: metrics, 8081: health
EXPOSE 8080 8081
CMD ["node", "dist/operator/main.js"]
