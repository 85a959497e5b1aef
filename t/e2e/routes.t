# A subnet behind a member: nobody reaches it before an admin has approved it
# and he has accepted it himself; of two members that offer it the second takes
# over when the first is gone; what was made is taken back.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Routes;

my $w = GoConnect::Scenario->begin;
my ($ada, $east, $west) = map { $w->device($_) } qw(ada east west);
my $r = GoConnect::Scenario::Routes::play($w, $ada, $east, $west);

subtest 'conflicts' => sub {
    my ($own) = $ada->host->address =~ /^(.*)\.\d+$/;
    my ($status, $said) = $ada->cli('route', 'accept', 'lan', "$own.0/25");
    is $status, 1, 'a part of the own subnet is refused';
    is $said, "goconnect: $own.0/25 of network Lan is inside $own.0/24, which this device sits in itself\n",
        'with the names of both';
    for ([ '192.168.77.1/24', 'host bits' ], [ '0.0.0.0/0', 'an exit' ], [ 'x', 'nothing' ]) {
        ($status, $said) = $ada->cli('route', 'accept', 'lan', $_->[0]);
        is $status, 2, "$_->[1]: refused";
    }
    ($status, $said) = $ada->cli('route', 'offer', 'lan', '10.40.0.128/25');
    isnt $status, 0, 'nobody offers a part of the network';
    is +($ada->cli('route', 'offer', 'lan', '192.168.5.0/33'))[0], 2, 'or what is no subnet';
    isnt $r->carrier, '', 'what was accepted is in use';
    ok $r->reached, 'and stands';
};

subtest 'what goconnectd is not to be asked' => sub {
    my $id = $ada->network->{network_id};
    my $code = sub {
        my ($request) = @_;
        my $said = $ada->host->must({ input => "$request\n" }, 'socat', '-t5', '-', 'UNIX:/run/goconnect/goconnectd.sock');
        return $said =~ /"code": ?"(\w+)"/ ? $1 : $said;
    };
    for my $case (
        [ qq({"command": "routes"}), 'unknown_network' ],
        [ qq({"command": "route", "network_id": "$id"}), 'bad_request' ],
        [ qq({"command": "route", "network_id": "$id", "action": 5, "prefix": []}), 'bad_request' ],
        [ qq({"command": "route", "network_id": "$id", "action": "accept"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "accept", "prefix": "::/0"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "offer", "prefix": "10.1.2.3/8"}), 'usage' ],
        [ qq({"command": "route", "network_id": "$id", "action": "offer", "prefix": "192.168.5.0"}), 'usage' ],
        [ qq({"command": "exit"}), 'unknown_network' ],
        [ qq({"command": "exit", "action": "use", "network_id": "x"}), 'unknown_network' ],
        [ qq({"command": "exit", "action": "x", "network_id": "$id"}), 'bad_request' ],
        [ qq({"command": "exit", "action": "use", "network_id": "$id", "peer_id": 5}), 'usage' ],
    ) {
        is $code->($case->[0]), $case->[1], $case->[0] =~ s/\Q$id\E/ID/r;
    }
};

subtest 'IPv6, and without masquerading' => sub { $r->plain };
subtest 'a route of the host in the way' => sub { $r->in_the_way };
subtest 'taken back' => sub { $r->taken_back };
$w->end;
done_testing;
