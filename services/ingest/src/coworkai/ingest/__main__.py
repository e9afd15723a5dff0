"""python -m coworkai.ingest"""

import gc
import sys

# What is imported stays: there is no garbage to look for until the service runs.
gc.disable()

from coworkai.common.service import main
from coworkai.ingest.app import create_app
from coworkai.ingest.settings import IngestSettings

if __name__ == "__main__":
    sys.exit(main("ingest", IngestSettings, create_app))
