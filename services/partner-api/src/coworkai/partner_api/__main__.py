"""`python -m coworkai.partner_api`"""

import sys

from coworkai.common.service import main
from coworkai.common.settings import CommonSettings
from coworkai.partner_api.app import create_app

sys.exit(main("partner-api", CommonSettings, create_app))
