# The dashboard, for everybody: axe, keyboard alone, dark and light, 320 pixels.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('access.mjs');
