# Somebody is kicked and banned while his device is in the tunnel: the ping dies,
# his peer is gone from every member's map and from WireGuard, and he comes back
# only when he may.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use Time::HiRes qw(time);

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER);

my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', join_policy => 'invite' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 20 }, @as);

my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(ada bob cyd);
my ($ada, $bob, $cyd) = @d{qw(ada bob cyd)};
for my $d ($ada, $bob, $cyd) {
    $d->register($s->url);
    ok $d->join($invite->{url})->{ip_address}, $d->name . ' joined';
}
my $bob_id = $s->sql("SELECT id FROM goconnect.users WHERE username = 'bob'");

# Everybody sees and reaches bob.
sub all_together {
    my ($what) = @_;
    ok defined $ada->sees([qw(bob cyd)], 20), "$what: ada sees both";
    ok defined $cyd->sees([qw(ada bob)], 20), "$what: cyd sees both";
    ok defined $bob->sees([qw(ada cyd)], 20), "$what: bob sees both";
    ok defined $ada->host->reaches($bob->address, 30), "$what: ada reaches bob";
    ok defined $bob->host->reaches($cyd->address, 30), "$what: bob reaches cyd";
    return;
}

# All of bob that a member's WireGuard holds: key and address.
sub traces {
    my ($d, $key, $address) = @_;
    return grep { /\Q$key\E|\Q$address\E\// } split /\n/, $d->host->must('wg', 'show', 'all', 'dump');
}

# What must be true when bob was put out by $act.
sub put_out {
    my ($what, $act) = @_;
    my $address = $bob->address;
    my $key = $s->sql("SELECT public_key FROM goconnect.peers WHERE host(ip_address) = '$address'");
    is scalar(traces($_, $key, $address)), 1, "$what: before, " . $_->name . '\'s WireGuard has bob' for $ada, $cyd;
    my $began = time;
    $act->();
    for my $see ([ $ada, 'cyd' ], [ $cyd, 'ada' ]) {
        my ($d, $other) = @$see;
        ok defined $d->sees([$other], 10), "$what: " . $d->name . " sees only $other";
        diag sprintf '%s: %s knew after %.2f s', $what, $d->name, time - $began;
        ok defined $d->await(sub { !traces($d, $key, $address) }, 10), '... and so does WireGuard';
        isnt + ($d->host->run('ping', '-c', 1, '-W', 1, $address))[0], 0, '... no ping passes to bob';
    }
    ok defined $bob->await(sub { !$bob->interfaces }, 10), "$what: bob has no interface left";
    is_deeply $bob->json('status')->{networks}, [], '... nor a network';
    isnt + ($bob->host->run('ping', '-c', 1, '-W', 1, $ada->address))[0], 0, '... no ping passes from bob';
    ok defined $ada->host->reaches($cyd->address, 10), '... and the others talk on';
    return;
}

all_together('at first');

# ----------------------------------------------------------------------- kick

put_out('kick', sub {
    $s->must(204, POST => "/v1/networks/$network->{id}/kick", { user_id => $bob_id }, @as);
});
ok $bob->join($invite->{url})->{ip_address}, 'who was kicked may join again';
all_together('after the kick');

# ------------------------------------------------------------------------ ban

put_out('ban', sub {
    $s->must(201, POST => "/v1/networks/$network->{id}/ban", { user_id => $bob_id, reason => 'spam' }, @as);
});
my ($status, $said) = $bob->cli('join', $invite->{url}, '--insecure');
isnt $status, 0, 'the banned cannot join again';
like $said, qr/banned/i, '... and is told so';
is $bob->stop_daemon, 0, 'bob stops his daemon';
$bob->start_daemon;
is_deeply [ $bob->interfaces ], [], '... it comes back without an interface';
ok defined $ada->sees(['cyd'], 5), '... and nobody sees him';

$s->must(204, POST => "/v1/networks/$network->{id}/unban", { user_id => $bob_id }, @as);
is_deeply [ $bob->interfaces ], [], 'unbanned is not yet in';
ok $bob->join($invite->{url})->{ip_address}, 'he joins again';
all_together('after the ban');

# ----------------------------------------- banned while his daemon is not there

my $before = $bob->address;
$bob->kill_daemon;
$s->must(201, POST => "/v1/networks/$network->{id}/ban", { user_id => $bob_id }, @as);
ok defined $_->[0]->sees([ $_->[1] ], 10), $_->[0]->name . ' sees him go all the same' for [ $ada, 'cyd' ], [ $cyd, 'ada' ];
$bob->start_daemon;
ok defined $bob->await(sub { !$bob->interfaces && !@{ $bob->json('status')->{networks} } }, 20),
    'his daemon comes back to no network and keeps no interface';
isnt + ($ada->host->run('ping', '-c', 1, '-W', 1, $before))[0], 0, '... no ping passes';
$s->must(204, POST => "/v1/networks/$network->{id}/unban", { user_id => $bob_id }, @as);
ok $bob->join($invite->{url})->{ip_address}, 'he joins again';
all_together('after his absence');

# ------------------------------------------------------ banned from the tenant

put_out('ban from the tenant', sub {
    $s->must(201, POST => "/v1/tenants/$tenant->{id}/bans/$bob_id", {}, @as);
});
($status, $said) = $bob->cli('join', $invite->{url}, '--insecure');
isnt $status, 0, 'the banned cannot join again';
like $said, qr/banned/i, '... and is told so';
$s->must(204, DELETE => "/v1/tenants/$tenant->{id}/bans/$bob_id", undef, @as);
ok $bob->join($invite->{url})->{ip_address}, 'lifted: he joins again';
all_together('after the tenant\'s ban');

# --------------------------------------------------------- the network is gone

my %address = map { $_ => $d{$_}->address } keys %d;
$s->must(204, DELETE => "/v1/networks/$network->{id}", undef, @as);
for my $d ($ada, $bob, $cyd) {
    ok defined $d->await(sub { !$d->interfaces }, 10), 'deleted: ' . $d->name . ' has no interface left';
    is_deeply $d->json('status')->{networks}, [], '... nor a network';
}
isnt + ($ada->host->run('ping', '-c', 1, '-W', 1, $address{cyd}))[0], 0, '... and no ping passes';

for my $d ($ada, $bob, $cyd) {
    is $d->stop_daemon, 0, $d->name . ' ends clean';
}
$s->stop;
done_testing;
