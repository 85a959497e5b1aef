# The dashboard, the session and the connection: they end, they break, they come back.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib";
use GoConnect::Browser;

GoConnect::Browser->run('session.mjs', cluster => 'own',
    allow => qr/a database connection is missing|the database is away/);
