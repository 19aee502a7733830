# docker build -t slo:0.2.0 . && docker run --rm -v "$PWD/definitions:/definitions:ro" slo:0.2.0 check /definitions
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY slo slo
RUN python -m venv /opt/slo && /opt/slo/bin/pip install --no-cache-dir .

FROM python:3.12-slim
COPY --from=build /opt/slo /opt/slo
ENV PATH=/opt/slo/bin:$PATH MPLCONFIGDIR=/tmp/matplotlib PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["slo"]
CMD ["--help"]
