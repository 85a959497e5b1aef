# The control plane in a container: nginx with the module and the dashboard.
# PostgreSQL is elsewhere. docs/operating.md tells how to run it.

FROM debian:bookworm-slim AS build
WORKDIR /src
COPY scripts/deps scripts/
RUN scripts/deps build html
COPY . .
RUN make module html && scripts/stage /out

FROM debian:bookworm-slim
RUN apt-get update -q \
    && apt-get install -y -q --no-install-recommends nginx libpq5 libjansson4 libhiredis0.14 \
        libjwt0 libqrencode4 libssl3 postgresql-client-15 ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin \
        goconnect \
    && install -d -o goconnect -g goconnect /run/goconnect
COPY --from=build /out /opt/goconnect

# Nothing in here runs as root.
USER goconnect
EXPOSE 8080
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:8080/readyz"]
ENTRYPOINT ["/opt/goconnect/scripts/container"]
CMD ["serve"]
