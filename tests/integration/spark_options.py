"""Apache Spark on this machine alone: what its driver is started with."""

_OPTIONS = {
    "spark.ui.enabled": "false",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "2",
}
SUBMIT_ARGUMENTS = " ".join(
    ["--master local[2]", *(f"--conf {name}={value}" for name, value in _OPTIONS.items()), "pyspark-shell"]
)
"""For PYSPARK_SUBMIT_ARGS."""
