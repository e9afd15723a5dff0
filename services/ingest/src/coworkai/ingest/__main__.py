"""python -m coworkai.ingest"""

import sys

from coworkai.common.service import main
from coworkai.ingest.app import create_app
from coworkai.ingest.settings import IngestSettings

if __name__ == "__main__":
    sys.exit(main("ingest", IngestSettings, create_app))
