# The dashboard, the main road: account, community, network, invite, chat.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('community.mjs');
