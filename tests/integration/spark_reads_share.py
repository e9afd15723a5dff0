"""`python -m tests.integration.spark_reads_share FILE`: sums a shared table's values by date, in Spark.

FILE has the table's `schema` and `files` as a query of the share tells them. Each executor fetches the files
that are its own; a partition's date is not in its file.
"""

import io
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession
from pyspark.sql.types import StructType


def fetched(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for file in batch.to_pylist():
            content = httpx.get(file["url"]).raise_for_status().content
            table = pq.read_table(io.BytesIO(content), columns=["user_id", "measure", "value"])
            dates = pa.array([file["date"]] * table.num_rows, pa.string())
            yield from table.append_column("date", dates).to_batches()


def main(file: str) -> None:
    told = json.loads(Path(file).read_text(encoding="utf-8"))
    types = {field.name: field.dataType for field in StructType.fromJson(told["schema"])}
    assert types["value"].typeName() == "double"
    spark = SparkSession.builder.getOrCreate()
    files = [(each["url"], each["partitionValues"]["date"]) for each in told["files"]]
    addresses = spark.createDataFrame(files, "url string, date string").repartition(len(files))
    rows = addresses.mapInArrow(fetched, "user_id string, measure string, value double, date string")
    summed = rows.groupBy("date").sum("value").collect()
    sys.stdout.write(json.dumps({row["date"]: row["sum(value)"] for row in summed}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
