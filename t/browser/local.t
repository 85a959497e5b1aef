# The page of this device, which goconnectd serves itself.

use strict;
use warnings;
use FindBin qw($Bin);
use lib "$Bin/lib", "$Bin/../lib", "$Bin/../agent/lib";
use AgentTest;
use GoConnect::Browser;
use Test::More;

plan skip_all => 'there is no /dev/net/tun' if !-c '/dev/net/tun';

GoConnect::Browser::install();

my ($lab, $plane, $a) = lab_with_agent(no_daemon => 1);
push @{ $a->{args} }, '--local-api', 'on';
$a->daemon;
$a->must('login', $plane->url, @{ $a->login_options });
my $lan = $plane->network('Lan');
$plane->add_peer($lan, { public_key => key(1), name => 'bob' });
$a->must('join', $lan->{link});

my $tap = $a->host->home . '/local.tap';
my ($status, $said) = $a->host->run({ timeout => 300 }, 'env',
    'GOCONNECT_LOCAL=' . $a->must('local') =~ s/\n//r, 'GOCONNECT_NPM=' . GoConnect::Browser::tool('../'),
    'NODE_OPTIONS=', GoConnect::Browser::node(), '--test-reporter=tap', "--test-reporter-destination=$tap",
    "$Bin/local.mjs");

my $tests = GoConnect::Browser::report($tap);
ok($status == 0 || $tests->{failed}, 'node ends well') or diag "exit code $status: $said";
ok($tests->{passed} + $tests->{failed} > 0, 'there were tests');
done_testing;
