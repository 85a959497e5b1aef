# A community run from the terminal: goconnect against a real server, without
# goconnectd (nothing here is about this device).
use strict;
use warnings;
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Mojo::JSON qw(decode_json);
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $goconnect = "$GoConnect::Cluster::BUILD/goconnect";

# Runs goconnect as somebody: (exit code, standard output, standard error).
sub run {
    my ($who, @command) = @_;
    my $out = File::Temp->new;
    my $err = File::Temp->new;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        $ENV{XDG_STATE_HOME} = $who->{home};
        $ENV{GOCONNECT_SOCKET} = "$who->{home}/nobody.sock";
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', $out->filename;
        open STDERR, '>', $err->filename;
        exec $goconnect, @command or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    my $status = $? >> 8;
    return ($status, map { open my $fh, '<', $_->filename or die $!; join '', <$fh> } $out, $err);
}

sub says {
    my ($who, $want, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $out, $err) = run($who, @command);
    is $status, 0, "@command" or diag $err;
    like $out, $want, '... says so';
    return $out;
}

sub json {
    my ($who, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $out, $err) = run($who, @command, '--json');
    is $status, 0, "@command --json" or diag $err;
    my $json = eval { decode_json($out) };
    ok $json, '... is JSON' or diag $out;
    return $json;
}

sub refused {
    my ($who, $exit, $want, @command) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($status, $out, $err) = run($who, @command);
    is $status, $exit, "@command: exit $exit" or diag "$out$err";
    like $err, $want, '... and why';
    return;
}

sub person {
    my ($name) = @_;
    my $who = { name => $name, home => tempdir(CLEANUP => 1) };
    open my $fh, '>', "$who->{home}/password" or die $!;
    print {$fh} "a good long password\n";
    close $fh;
    my ($status, $out, $err) = run($who, 'register', $s->url, '--username', $name,
        '--password-file', "$who->{home}/password");
    is $status, 0, "$name registers" or diag $err;
    return $who;
}

my ($ada, $bob, $mallory) = map { person($_) } qw(ada bob mallory);

# Tenants and networks.
says($ada, qr/No tenants yet/, 'tenants');
says($ada, qr/Made Friends/, 'tenant', 'create', 'Friends', '--public', '--open');
says($ada, qr/^Friends +friends +open +owner +1$/m, 'tenants');
is json($ada, 'tenants')->{tenants}[0]{slug}, 'friends', 'as a list';
says($bob, qr/^Friends /m, 'tenant', 'search', 'frie');
says($bob, qr/No public tenant/, 'tenant', 'search', '50% ö?&q=');
says($ada, qr/Made LAN \(10\.20\.0\.0\/24\)/, 'network', 'create', 'friends', 'LAN', '--cidr',
    '10.20.0.0/24', '--policy', 'approval', '--public');
refused($ada, 5, qr/cidr/i, 'network', 'create', 'friends', 'Bad', '--cidr', '10.20.0.1/24');
refused($ada, 2, qr/no tenant of yours/, 'network', 'create', 'nowhere', 'X');

# Invites.
my $link = says($ada, qr{^\S+/i/\w{10}$}m, 'invite', 'create', 'friends', '--uses', '2', '--expires', '2d');
chomp $link;
is json($ada, 'invites', 'friends')->{invites}[0]{max_uses}, 2, 'two uses';
for my $bad ([ '--uses', '0' ], [ '--uses', 'many' ], [ '--expires', '2' ], [ '--expires', '99999d' ]) {
    refused($ada, 2, qr/--uses is|a duration is/, 'invite', 'create', 'friends', @$bad);
}
my ($code) = $link =~ m{/i/(\w+)};
for my $who ($bob, $mallory) {
    my $session = decode_json(do { open my $fh, '<', "$who->{home}/goconnect/session.json" or die $!; local $/; <$fh> });
    $s->must(200, POST => "/v1/invites/$code/accept", undef, token => $session->{access_token});
    $who->{id} = $session->{user}{id} // $session->{user_id};
    $who->{token} = $session->{access_token};
}
says($ada, qr/^bob +member +active/m, 'members', 'friends');
is scalar @{ json($ada, 'members', 'tenant:friends')->{members} }, 3, 'three members';
my ($invite) = @{ json($ada, 'invites', 'friends')->{invites} };
says($ada, qr/no longer good/, 'invite', 'revoke', $invite->{id});
says($ada, qr/No invites/, 'invites', 'friends');

# Roles.
says($ada, qr/^moderator: bob, Friends\./, 'role', 'friends', 'bob', 'moderator');
refused($bob, 5, qr/./, 'role', 'friends', 'ada', 'member');
refused($ada, 2, qr/nobody called "eve"/, 'role', 'friends', 'eve', 'member');

# Requests.
my ($network) = @{ json($ada, 'networks')->{networks} };
$s->must(202, POST => "/v1/networks/$network->{id}/join", { note => 'let me in' }, token => $mallory->{token});
says($bob, qr/^mallory +let me in$/m, 'requests', 'lan');
says($bob, qr/^Denied: mallory, LAN\./, 'requests', 'deny', 'lan', 'mallory');
says($bob, qr/Nobody asks/, 'requests', 'friends/lan');
$s->must(202, POST => "/v1/networks/$network->{id}/join", {}, token => $mallory->{token});
says($bob, qr/^Approved: mallory, LAN\./, 'requests', 'approve', 'lan', 'mallory');
is_deeply [ sort map { $_->{username} } @{ json($ada, 'members', 'lan')->{members} } ],
    [qw(ada mallory)], 'in the network';

# Out, and back.
says($bob, qr/^Kicked: mallory, LAN\./, 'kick', 'lan', 'mallory', '--reason', 'afk');
says($bob, qr/^Banned: mallory, LAN\./, 'ban', 'lan', 'mallory', '--expires', '1h', '--reason', 'griefing');
says($ada, qr/^mallory +\d{4}-\d\d-\d\d \d\d:\d\d +griefing$/m, 'bans', 'lan');
says($bob, qr/^May come back: mallory, LAN\./, 'unban', 'lan', 'mallory');
says($bob, qr/^Banned: mallory, Friends\./, 'ban', 'friends', 'mallory');
is json($ada, 'bans', 'friends')->{bans}[0]{username}, 'mallory', 'banned from the tenant';
says($bob, qr/^May come back/, 'unban', 'friends', 'mallory');
refused($bob, 5, qr/./, 'kick', 'friends', 'ada');
refused($mallory, 2, qr/no network or tenant of yours/, 'members', 'friends');

# Enrolment keys.
my $key = json($ada, 'key', 'create', 'friends', 'servers', '--network', 'lan', '--reusable', '--expires', '7d');
like $key->{key}, qr/^gce_/, 'the key is shown once';
says($ada, qr/^\Q$key->{id}\E +servers +yes +no/m, 'keys', 'friends');
says($ada, qr/no longer good/, 'key', 'delete', $key->{id});
says($ada, qr/No enrolment keys/, 'keys', 'friends');

# Addresses.
says($ada, qr/^Reserved 10\.20\.0\.50 in LAN\./, 'reserve', 'lan', '10.20.0.50', '--name', 'game', '--user', 'ada');
says($ada, qr/^10\.20\.0\.50 +game /m, 'reservations', 'lan');
refused($ada, 5, qr/./, 'reserve', 'lan', '10.21.0.1');
says($ada, qr/is free again/, 'unreserve', 'lan', 'game');
says($ada, qr/Nothing is reserved/, 'reservations', 'lan');

# Devices.
my $device = $s->must(201, POST => '/v1/devices', { name => 'laptop', platform => 'linux',
    public_key => GoConnect::Server::wg_key() }, token => $bob->{token});
says($bob, qr/^laptop +linux +no /m, 'devices');
says($bob, qr/laptop is deleted/, 'device', 'delete', 'laptop');
refused($bob, 2, qr/no device of yours/, 'device', 'delete', 'laptop');

# What is wrong is said before anything is asked.
refused($ada, 2, qr/usage: goconnect ban PLACE USER/, 'ban', 'lan');
refused($ada, 2, qr/not one of "goconnect members"/, 'members', 'lan', '--reason', 'x');
refused({ home => tempdir(CLEANUP => 1) }, 4, qr/log/, 'tenants');
for my $command ([qw(ban)], [qw(invite create)], [qw(requests approve)], [qw(key create)]) {
    my ($status, $out) = run($ada, @$command, '--help');
    is $status, 0, "@$command --help";
    like $out, qr/^usage: goconnect @$command/, '... teaches';
}

$s->stop;
done_testing;
