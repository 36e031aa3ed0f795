"""A folder or bucket of videos into Parquet with Spark, one row a file; an error of a file is in its row.

spark-submit examples/spark_to_parquet.py FOLDER OUT [localhost:8001 ...]

FOLDER and OUT are what Spark reads: a path, or s3a://BUCKET/PREFIX where the package hadoop-aws is there.
"""

import sys
from collections.abc import Iterator

import pandas
from pyspark.sql import SparkSession

from veracity_client import Detector, Options, VeracityError

BULK = Options(priority="bulk", deadline_seconds=900.0)
COLUMNS = ("path", "label", "fake_probability", "verdict", "error")
SCHEMA = "path string, label string, fake_probability double, verdict string, error string"


def ask(tables: Iterator[pandas.DataFrame], urls: list[str]) -> Iterator[pandas.DataFrame]:
    """Ask about the files of a partition, one at a time."""
    with Detector(urls, retries=None, timeout=900.0) as detector:
        for table in tables:
            rows = [row(detector, path, content) for path, content in zip(table["path"], table["content"])]
            yield pandas.DataFrame(rows, columns=COLUMNS, dtype=object)


def row(detector: Detector, path: str, content: bytes) -> tuple[object, ...]:
    """Return the row of a file."""
    try:
        verdict = detector.analyze(content, BULK)
    except VeracityError as error:
        return path, None, None, None, error.to_wire()
    return path, verdict.label, verdict.fake_probability, verdict.to_json(), None


def main(folder: str, out: str, *urls: str) -> None:
    """Write the rows, in place of those of an earlier run."""
    spark = SparkSession.builder.getOrCreate()
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", 8)  # files in memory at once
    files = spark.read.format("binaryFile").load(folder).select("path", "content")
    rows = files.mapInPandas(lambda tables: ask(tables, list(urls) or ["localhost:8001"]), SCHEMA)
    rows.write.mode("overwrite").parquet(out)
    spark.read.parquet(out).select("path", "label", "fake_probability", "error").orderBy("path").show(truncate=60)


if __name__ == "__main__":
    main(*sys.argv[1:])
