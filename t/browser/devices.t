# The dashboard, devices: their list and their status, as it changes.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('devices.mjs');
