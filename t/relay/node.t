# A relay by itself, by conf/relay.conf as it is shipped: no database, no API,
# only this relay's own key; and nginx with our module and nothing of ours in it.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use Digest::SHA qw(hmac_sha256);
use File::Temp qw(tempdir);
use GoConnect::RelayPeer;
use GoConnect::Server;
use MIME::Base64 qw(encode_base64);
use Mojo::UserAgent;
use POSIX qw(:sys_wait_h);
use Test::More;
use Time::HiRes qw(sleep time);

my $RELAY = '7d0f5c2e-0000-4000-8000-00000000b22d';
my $master = 'm' x 32;
my $dir = tempdir('gcr-XXXXXX', DIR => '/tmp', CLEANUP => 1);
mkdir "$dir/$_" for qw(run lib log);

sub spew {
    my ($name, $text, $mode) = @_;
    open my $fh, '>', "$dir/$name" or die "$name: $!";
    chmod $mode, $fh if $mode;
    print $fh $text;
    close $fh or die $!;
    return;
}

# The relay's key, as docs/relay.md says to make it.
sub slurp { my ($file) = @_; open my $fh, '<', $file or die "$file: $!"; local $/; return scalar <$fh> }
spew('keys', "jwt 1 x\nrelay 1 " . encode_base64($master, '') . "\n");
my ($recipe) = slurp("$GoConnect::Server::ROOT/docs/relay.md") =~ /^```sh\n(master=.*?)^```/ms;
$recipe =~ s{/etc/goconnect/keys}{$dir/keys};
spew('recipe', $recipe);
spew('relay-key', scalar `UUID=$RELAY sh '$dir/recipe'`, 0600);
is slurp("$dir/relay-key"), 'relay 1 '
    . encode_base64(hmac_sha256('goconnect relay' . pack('H*', $RELAY =~ tr/-//dr), $master), '') . "\n",
    'the key follows from the master key, by the command of the documentation';

my $conf = slurp("$GoConnect::Server::ROOT/conf/relay.conf");
my $web = GoConnect::Server::free_port();
my $port;
for (1 .. 100) {
    $port = 20000 + int rand 12000;
    last if 2 == grep { IO::Socket::IP->new(Proto => 'udp', LocalHost => '127.0.0.1', LocalPort => $_) } $port, $port + 1;
}
my %there = ('/usr/lib/nginx/modules' => "$GoConnect::Server::BUILD/nginx", '/run/goconnect-server' => "$dir/run",
    '/var/lib/goconnect-server' => "$dir/lib", '/var/log/goconnect' => "$dir/log", '/etc/goconnect' => $dir,
    'UUID-OF-THIS-RELAY' => "$RELAY listen=127.0.0.1:$port", '127.0.0.1:9478' => "127.0.0.1:$web",
    'worker_processes auto' => 'worker_processes 2');
$conf =~ s/\Q$_\E/$there{$_}/g or die "$_ is not in conf/relay.conf" for sort keys %there;
spew('relay.conf', GoConnect::Server::worker_user() . "\n$conf");

my $ua = Mojo::UserAgent->new;
my $master_pid;

sub await {
    my ($what, $test) = @_;
    my $end = time + 60;
    until ($test->()) {
        die "$what: not in time\n" . eval { slurp("$dir/log/error.log") } if time > $end;
        sleep 0.01;
    }
    return 1;
}

sub start {
    my ($file) = @_;
    $master_pid = fork // die "fork: $!";
    if (!$master_pid) {
        $ENV{LD_PRELOAD} = GoConnect::Server::sanitizer_preload() if $GoConnect::Server::SAN;
        $ENV{ASAN_OPTIONS} = 'detect_leaks=0';
        exec qw(setpriv --pdeathsig TERM -- /usr/sbin/nginx -e), "$dir/log/error.log", '-p', $dir, '-c', "$dir/$file"
            or POSIX::_exit(127);
    }
    await('nginx', sub { ($ua->get("http://127.0.0.1:$web/metrics")->res->code // 0) == 200 });
    return;
}

sub stop {
    kill 'QUIT', $master_pid;
    waitpid $master_pid, 0;
    is $?, 0, 'it ends well';
    my @bad = grep { /\[(?:alert|emerg|crit|error|warn)\]|runtime error:|Sanitizer/ } split /\n/, slurp("$dir/log/error.log");
    is_deeply \@bad, [], 'and had nothing to complain of';
    return;
}

sub counted {
    my ($result) = @_;
    return $ua->get("http://127.0.0.1:$web/metrics")->res->body
        =~ /^goconnect_relay_packets_total\{result="$result"\} (\d+)/m ? $1 : -1;
}

start('relay.conf');
my $world = GoConnect::RelayPeer::World->new(relay => $RELAY, master => $master, to => [ '127.0.0.1', $port ]);
my ($ada, $bob) = map { $world->peer } 1, 2;
is $_->register->{class}, 'success', 'a peer registers' for $ada, $bob;
$ada->shake_hands($bob, 1, 2);
$ada->send($ada->data(2, 'hello'));
like $bob->packet, qr/hello/, 'what it sends arrives';
# a worker tells its numbers when it has sent what it has received
ok await('the counters', sub { counted('forwarded') >= 3 }), 'and is counted';
is counted('forwarded'), 3, '... once';
is $ua->get("http://127.0.0.1:$web/v1/auth/me")->res->code, 404, 'there is no API';
is $ua->post("http://127.0.0.1:$web/metrics")->res->code, 405, 'counters can only be read';
stop();

start('relay.conf');
$ada->send($ada->data(2, 'again'));
like $bob->packet, qr/again/, 'a restart has forgotten nothing';
stop();

# The module in somebody's nginx that uses nothing of it.
spew('plain.conf', $conf =~ s/goconnect_relay .*?;//sr =~ s/goconnect_metrics;/return 200;/r
    =~ s/\A/GoConnect::Server::worker_user() . "\n"/er);
start('plain.conf');
stop();

done_testing;
