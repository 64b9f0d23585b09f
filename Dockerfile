# The page and the HTTP API: docker build -t imharmony . && docker run --rm --read-only
# --tmpfs /tmp -p 127.0.0.1:8000:8000 imharmony
FROM python:3.12-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/imharmony \
    && /opt/imharmony/bin/pip install --no-cache-dir ".[web]"

FROM python:3.12-slim
COPY --from=build /opt/imharmony /opt/imharmony
RUN useradd --system --no-create-home --shell /usr/sbin/nologin imharmony
ENV PATH=/opt/imharmony/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER imharmony
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/api/v1/health', timeout=4)"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["imharmony", "serve", "--host", "0.0.0.0", "--port", "8000"]
