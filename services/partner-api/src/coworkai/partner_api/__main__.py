"""`python -m coworkai.partner_api`"""

import gc
import sys

# What is imported stays: there is no garbage to look for until the service runs.
gc.disable()

from coworkai.common.service import main
from coworkai.partner_api.app import create_app
from coworkai.partner_api.connection import protocol
from coworkai.partner_api.settings import PartnerApiSettings

sys.exit(main("partner-api", PartnerApiSettings, create_app, protocol))
