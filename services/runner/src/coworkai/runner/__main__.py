"""`python -m coworkai.runner`"""

import gc
import sys

# What is imported stays: there is no garbage to look for until the service runs.
gc.disable()

from coworkai.common.service import main
from coworkai.runner.app import create_app
from coworkai.runner.settings import RunnerSettings

sys.exit(main("runner", RunnerSettings, create_app))
