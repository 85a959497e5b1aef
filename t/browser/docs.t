# The API's reference at /docs/: offline, under the dashboard's own policy.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('docs.mjs');
