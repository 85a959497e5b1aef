# Devices without a user at hand: two enroll by a key and reach each other,
# one is let in by a code, and those that are ephemeral vanish.

use strict;
use warnings;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use JSON::PP qw(decode_json);
use Test::More;

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, address => $GoConnect::Lab::SERVER);

my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Farm' }, @as);
my $lan = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', join_policy => 'approval' }, @as);
my $lab2 = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'Second' }, @as);

sub key {
    my (%body) = @_;
    return $s->must(201, POST => "/v1/tenants/$tenant->{id}/enrollment-keys",
        { name => 'farm', networks => [ $lan->{id} ], %body }, @as);
}

sub file {
    my ($d, $text) = @_;
    my $file = $d->host->home . '/key';
    open my $fh, '>', $file or die $!;
    print $fh "$text\n";
    close $fh;
    return $file;
}

my $key = key(reusable => JSON::PP::true(), networks => [ $lan->{id}, $lab2->{id} ]);
my %d = map { $_ => GoConnect::Device->new($lab, $_) } qw(ada bob);
my ($ada, $bob) = @d{qw(ada bob)};

subtest 'a key' => sub {
    my $in = $ada->json('login', $s->url, '--key-file', file($ada, $key->{key}), '--insecure');
    is $in->{user}{username}, 'device-farm', 'ada is enrolled by it';
    is_deeply [ sort map { $_->{name} } @{ $in->{networks} } ], [qw(Lan Second)], '... into its networks';
    my ($net) = grep { $_->{name} eq 'Lan' } @{ $in->{networks} };
    is $net->{state}, 'up', '... which are up, though they are joined by approval';
    my ($status, $said) = $bob->cli('login', $s->url, '--key', $key->{key}, '--insecure', '--name', 'Bob');
    is $status, 0, 'bob too' or diag $said, $bob->log_tail;
    like $said, qr/one of device-farm\.\n  .*100\.64\./s, '... and is told his addresses';
    ok defined $ada->await(sub { $ada->peers('Lan')->{bob} }), 'ada sees bob';
    my $to = $bob->network('Lan')->{ip_address};
    ok defined $ada->host->reaches($to, 20), 'ada reaches bob through the tunnel';
    ok defined $bob->host->reaches($ada->network('Lan')->{ip_address}, 20), 'bob reaches ada';
    ($status, $said) = $ada->cli('login', $s->url, '--key', 'gce_x', '--insecure');
    is $status, 0, 'who is in already needs no key';
    like $said, qr/already, as one of device-farm/, '... and is told so';
    ($status, $said) = $ada->cli('networks', '--insecure');
    is $status, 4, 'there is no user at this device';
    like $said, qr/--username/, '... it says how to be one';
};

subtest 'a wrong key' => sub {
    my $eve = GoConnect::Device->new($lab, 'eve');
    my ($status, $said) = $eve->cli('login', $s->url, '--key', 'gce_wrong', '--insecure');
    is $status, 5, 'refused';
    like $said, qr/no such enrolment key/, '... and why';
    my $once = key(name => 'once');
    $s->must(201, POST => '/v1/auth/enroll', { key => $once->{key}, name => 'first',
        platform => 'linux', public_key => $s->wg_key });
    ($status, $said) = $eve->cli('login', $s->url, '--key', $once->{key}, '--insecure', '--json');
    is $status, 5, 'used';
    is decode_json($said)->{error}{code}, 'key_used', '... says the document';
    is $eve->json('status')->{control}, 'logged_out', 'nothing came of it';
    $eve->stop_daemon;
};

subtest 'goconnectd restarts' => sub {
    $bob->kill_daemon;
    $bob->start_daemon;
    ok defined $bob->await(sub { $bob->json('status')->{control} eq 'connected' }), 'connected again';
    is $bob->network('Lan')->{state}, 'up', 'and still in its networks';
};

subtest 'a code' => sub {
    my $tv = $d{tv} = GoConnect::Device->new($lab, 'tv');
    my $login = $tv->host->start('login', "$GoConnect::Device::BUILD/goconnect", 'login',
        $s->url, '--insecure');
    my $shown;
    $tv->await(sub { ($shown) = $tv->host->log('login') =~ /enter the code\s+(\S+)\s.*Waiting/s })
        // diag $tv->host->log('login');
    like $shown, qr/^[0-9A-Z]{4}-[0-9A-Z]{4}\z/, 'is shown';
    like $tv->host->log('login'), qr{^  \Q${\$s->url}\E/device$}m, '... and where it goes';
    unlike $tv->host->log('login'), qr/\e/, '... without colours, as this is no terminal';
    my $asks = $s->must(200, GET => "/v1/auth/device/$shown", undef, @as);
    is "$asks->{name} $asks->{address}", 'tv ' . $tv->host->address, 'the user sees who asks, and from where';
    $s->must(204, POST => '/v1/auth/device/approve',
        { user_code => $shown, approve => JSON::PP::true(), networks => [ $lan->{id} ] }, @as);
    is $tv->host->stop($login, 0, 60), 0, 'the device is in' or diag $tv->host->log('login');
    like $tv->host->log('login'), qr/one of owner\.\n  Lan  100\.64\./, '... and says so';
    ok defined $ada->await(sub { $ada->peers('Lan')->{tv} }), 'the others see it';
    ok defined $tv->host->reaches($ada->network('Lan')->{ip_address}, 20), '... and it reaches them';
};

subtest 'a code that is refused' => sub {
    my $eve = GoConnect::Device->new($lab, 'mallory');
    my $login = $eve->host->start('login', "$GoConnect::Device::BUILD/goconnect", 'login',
        $s->url, '--insecure', '--json');
    my $line;
    $eve->await(sub { ($line) = $eve->host->log('login') =~ /^(\{.*\})\n/ });
    my $shown = decode_json($line);
    is_deeply [ sort keys %$shown ],
        [qw(expires_in interval user_code verification_uri verification_uri_complete)],
        'with --json a line says what to show';
    $s->must(204, POST => '/v1/auth/device/approve',
        { user_code => $shown->{user_code}, approve => JSON::PP::false() }, @as);
    is $eve->host->stop($login, 0, 60), 5, 'refused';
    is decode_json($eve->host->log('login') =~ s/^.*\n//r)->{error}{code}, 'access_denied', '... and why';
    $eve->stop_daemon;
};

subtest 'logout' => sub {
    my $id = $bob->json('status')->{device}{id};
    my ($status, $said) = $bob->cli('logout', '--insecure');
    is $status, 0, 'bob leaves' or diag $said;
    unlike $said, qr/still lists/, '... and the server was told';
    is $s->sql("SELECT count(*) FROM goconnect.devices WHERE id = '$id'"), 0, '... by the device itself';
    ok defined $ada->await(sub { !$ada->peers('Lan')->{bob} }), '... and it is off the others\' maps';
    is_deeply [ $bob->interfaces ], [], 'no interface is left';
};

subtest 'an ephemeral device vanishes' => sub {
    my $ci = key(name => 'ci', ephemeral => JSON::PP::true());
    is $bob->json('login', $s->url, '--key', $ci->{key}, '--insecure')->{user}{username}, 'device-ci',
        'bob comes back for a job';
    ok defined $ada->await(sub { $ada->peers('Lan')->{bob} }), 'ada sees him';
    my $id = $bob->json('status')->{device}{id};
    $bob->kill_daemon;
    ok defined $ada->await(sub { !$s->sql("SELECT count(*) FROM goconnect.presence WHERE device_id = '$id'") }, 40),
        'he goes';
    # an hour later
    $s->sql("UPDATE goconnect.devices SET last_seen = now() - interval '61 minutes' WHERE id = '$id'");
    $s->sql("UPDATE goconnect.chores SET done_at = '-infinity' WHERE name = 'sweep'");
    ok defined $ada->await(sub { !$ada->peers('Lan')->{bob} }, 40), 'he is off ada\'s map';
    is $s->sql("SELECT count(*) FROM goconnect.devices WHERE id = '$id'"), 0, '... and off the server';
    $bob->start_daemon;
    ok defined $bob->await(sub { $bob->json('status')->{control} eq 'refused' }), 'he may not come back by himself';
    my $again = key(name => 'again');
    is $bob->json('login', $s->url, '--key', $again->{key}, '--insecure')->{networks}[0]{state}, 'up',
        '... but by another key, at once';
};

$_->stop_daemon for values %d;
$s->stop;
done_testing;
