# The dashboard, chat: who is typing, what is unread, edits and deletions.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('chat.mjs');
