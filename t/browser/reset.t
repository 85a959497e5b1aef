# The dashboard, /reset#TOKEN: a link of a server admin sets a new password.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('reset.mjs');
