# Who may reach which ports of whom: by role, peer, tag and port, as an admin
# says; nobody gets in by another way, and whoever flushes the rules of a host
# does so in vain.

use strict;
use warnings;
use Test::More;
use GoConnect::Scenario;
use GoConnect::Scenario::Firewall;
use JSON::PP ();

my $w = GoConnect::Scenario->begin;
my ($hub, $ada, $bob) = map { $w->device($_) } qw(hub ada bob);
my $f = GoConnect::Scenario::Firewall::play($w, $hub, $ada, $bob);

subtest 'by the command' => sub {
    my $ask = sub { $ada->cli({ input => $_[0] }, 'rules', 'set', 'lan', '-', '--insecure') };
    my ($status, $said) = $ask->(JSON::PP::encode_json([
        { action => 'deny', source => 'role:member', protocol => 'tcp', port_first => 7001 }, $f->last_rule ]));
    is $status, 0, 'an admin sets them' or diag $said;
    like $said, qr/^Lan has 2 rules now\.$/, 'and is told';
    ok $f->enforced, 'they arrive';
    ok $f->may_not($bob, 'TCP', 7001), 'and are enforced';
    my $list = $bob->json('rules', 'lan', '--insecure')->{rules};
    is_deeply [ map { "$_->{source} $_->{port_first}" } @$list ],
        [ 'role:member 7001', "any $f->{mark}" ], 'a member sees them';
    like +($bob->cli('rules', 'lan', '--insecure'))[1], qr/^deny +role:member +any +tcp +7001$/m, 'as a table too';
    ($status, $said) = $ada->cli({ input => JSON::PP::encode_json({ rules => $list }) }, 'rules', 'set', 'lan', '-', '--insecure');
    is $status, 0, 'what is listed can be set' or diag $said;
    is +($bob->cli({ input => '[]' }, 'rules', 'set', 'lan', '-', '--insecure'))[0], 5, 'a member sets none';
    ($status, $said) = $ask->('{"rules": 1}');
    like $said, qr/not a list of rules/, 'what is no list is refused';
    ($status, $said) = $ask->("[\n{]");
    like $said, qr/-, line 2:/, 'and what is no JSON, by its line';
};

subtest 'rules of the host' => sub { $f->by_hand };

$w->end;
done_testing;
