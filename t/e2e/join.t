# Two devices on different networks join by an invite and reach each other;
# a third comes, one leaves; everybody sees it at once.

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
    { network_id => $network->{id}, max_uses => 10 }, @as);

my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d (@d{qw(ada bob)}) {
    $d->register($s->url);
    my $joined = $d->join($invite->{url});
    ok $joined->{ip_address}, $d->name . " joined as $joined->{ip_address}";
}

my ($ada, $bob) = @d{qw(ada bob)};
ok defined $ada->sees(['bob']), 'ada sees bob';
ok defined $bob->sees(['ada']), 'bob sees ada';
is_deeply [ map { $_->{name} } @{ $ada->json('names')->{names} } ],
    [ 'ada.lan.friends.gc', 'bob.lan.friends.gc' ], 'both have names';
is $ada->json('status')->{backend}, 'userspace', 'WireGuard runs in user space here'
    if !-d '/sys/module/wireguard';

my $took = $ada->host->reaches($bob->address, 20);
ok defined $took, 'ada reaches bob through the tunnel';
diag sprintf 'first ping after %.2f s', $took if defined $took;
ok defined $bob->host->reaches($ada->address, 20), 'bob reaches ada';

subtest 'chat goes from one to the other' => sub {
    $ada->json('chat', 'lan', 'who is in for a round?', '--insecure');
    my ($status, $said) = $bob->cli('chat', 'lan', '--insecure');
    is $status, 0, 'the channel can be read';
    like $said, qr/who is in for a round\?/, 'and has the line';
};

subtest 'a third device joins' => sub {
    my $cyd = $d{cyd} = GoConnect::Device->new($lab, 'cyd', with => 'bob');
    $cyd->register($s->url);

    # In the background, so that the others are watched meanwhile.
    my $join = $cyd->host->start('join', "$GoConnect::Device::BUILD/goconnect", 'join',
        $invite->{url}, '--insecure');
    my %seen;
    my $end = time + 30;
    while (keys %seen < 2 && time < $end) {
        for my $who (grep { !$seen{$_} } qw(ada bob)) {
            $seen{$who} = time if $d{$who}->peers->{cyd};
        }
    }
    is $cyd->host->stop($join, 0), 0, 'cyd joined' or diag $cyd->host->log('join');
    my $row = $s->sql("SELECT extract(epoch FROM max(created_at)) FROM goconnect.peers");
    for my $who (qw(ada bob)) {
        ok $seen{$who}, "$who sees cyd";
        diag sprintf '%s knew %.2f s after the commit began', $who, $seen{$who} - $row
            if $seen{$who};
    }
    for my $see ([ 'ada', 'bob', 'cyd' ], [ 'bob', 'ada', 'cyd' ], [ 'cyd', 'ada', 'bob' ]) {
        my ($who, @others) = @$see;
        ok defined $d{$who}->sees(\@others, 10), "$who sees @others";
    }
    ok defined $cyd->host->reaches($ada->address, 20), 'cyd reaches ada';
    ok defined $cyd->host->reaches($bob->address, 20), 'cyd reaches bob on its own LAN';
    my $peer = $cyd->peers->{bob};
    is $peer->{endpoint} =~ s/:\d+$//r, $bob->host->address,
        'and takes the address in the shared subnet';
};

subtest 'the server knows who reaches whom' => sub {
    my $end = time + 60;    # agents report twice a minute
    my %link;
    until (keys %link >= 2 || time > $end) {
        my $mesh = $s->must(200, GET => "/v1/networks/$network->{id}/mesh", undef, @as);
        my %name = map { ($_->{id} => $_->{name}) } @{ $mesh->{peers} };
        %link = map { ("$name{$_->{from_peer_id}} $name{$_->{to_peer_id}}" => $_) } @{ $mesh->{links} };
        select undef, undef, undef, 0.2;
    }
    cmp_ok scalar(keys %link), '>=', 2, join ', ', sort keys %link;
    is_deeply [ grep { $_->{path} ne 'direct' || $_->{sent_bytes} < 1 } values %link ], [], 'directly';
};

subtest 'a changed setting reaches the agents as it is made' => sub {
    my ($device) = @{ $ada->host->must('ip', '-o', 'link') =~ /(gc-[^:@]+)/ ? [$1] : [] };
    my $mtu = sub { ($_[0]->host->must('ip', 'link', 'show', $device) =~ /mtu (\d+)/)[0] };
    is $mtu->($ada), 1420, 'the usual MTU';
    $s->must(200, PATCH => "/v1/networks/$network->{id}", { settings => { mtu => 1330 } }, @as);
    ok defined $ada->await(sub { $mtu->($ada) == 1330 }), 'the new one';
    unlike $ada->log, qr/netmap afresh/, 'without asking for the whole map again';
    ok defined $ada->host->reaches($bob->address, 10), 'and bob is reached as before';
};

subtest 'the server knows where a device sits' => sub {
    my $local = $s->sql("SELECT string_agg(host(subnet) || '/' || masklen(subnet), ' ') "
        . "FROM goconnect.device_subnets");
    like $local, qr{\d+\.\d+\.\d+\.\d+/\d+}, "it sits in $local";
    unlike $local, qr{100\.64\.|127\.0}, 'not in the network itself';
};

subtest 'one leaves' => sub {
    my $gone = $bob->address;
    $bob->leave('lan');
    for my $who (qw(ada cyd)) {
        my $other = $who eq 'ada' ? 'cyd' : 'ada';
        ok defined $d{$who}->sees([$other], 10), "$who sees only $other";
        unlike $d{$who}->host->must('wg', 'show', 'all', 'allowed-ips'), qr/\Q$gone\E/,
            'the peer is gone from WireGuard too';
    }
    is_deeply [ $bob->interfaces ], [], 'bob has no interface left';
    ok defined $ada->host->reaches($d{cyd}->address, 10), 'ada and cyd still talk';
};

subtest 'down removes what was made, up brings it back' => sub {
    my $host = $ada->host;
    my $address = $ada->address;
    $ada->json('down');
    is_deeply [ $ada->interfaces ], [], 'no interface';
    unlike $host->must('ip', 'route'), qr/gc-|proto 201/, 'no route';
    $ada->json('up');
    ok defined $ada->await(sub { ($ada->address // '') eq $address && $ada->interfaces }), 'back';
    ok defined $host->reaches($d{cyd}->address, 20), 'and cyd is reached again';
};

for my $d (values %d) {
    my $status = $d->stop_daemon;
    is $status, 0, $d->name . ' ends clean';
}
$s->stop;
done_testing;
