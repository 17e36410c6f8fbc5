import sys

from lipsync_lab.cli import main

sys.exit(main())
