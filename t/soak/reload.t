# Reloads under load: sockets are sent away and come back when they were told
# to, nobody misses an event, and no request is dropped.
#
# Two reloads with 100 sockets; in full (make soak) one every 10 s for a minute
# with 1,000.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Crowd;
use GoConnect::Server;
use IO::Select;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

my $full = $ENV{GOCONNECT_FULL};
my ($sockets, $reloads) = $full ? (1000, 6) : (100, 2);

my $s = GoConnect::Server->start(workers => 2);
my $ada = $s->register('ada');
my $tenant = $s->must(201, POST => '/v1/tenants',
    { name => 'Hall', visibility => 'public', access => 'open' }, token => $ada->{token});
my $topic = "tenant:$tenant->{id}";

# eight sockets of each
my @token;
for my $i (1 .. $sockets / 8 + 1) {
    my $user = $s->register("crowd$i");
    $s->must([ 200, 201 ], POST => "/v1/tenants/$tenant->{id}/join", {}, token => $user->{token});
    push @token, ($user->{token}) x 8;
}
splice @token, $sockets;

sub seq { 0 + $s->sql("SELECT seq FROM goconnect.topics WHERE id = '$topic'") }

my $crowd = GoConnect::Crowd->new(server => $s, topic => $topic, seq => seq(), tokens => \@token);
$crowd->run_until(sub { $crowd->live == $sockets });
is $crowd->live, $sockets, "$sockets sockets are live";
is_deeply $crowd->{violations}, [], '... all at the first try';

# ------------------------------------------------------------------- writers

# Each request on a connection of its own, one after another, when the crowd has
# read what came: however slow the machine, it can follow. A writer tells what it
# was answered when it is asked to end.
sub writer {
    my ($name) = @_;
    my $user = $s->register($name);
    $s->must([ 200, 201 ], POST => "/v1/tenants/$tenant->{id}/join", {}, token => $user->{token});
    pipe my $from, my $to or die $!;
    pipe my $order, my $give or die $!;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $from;
        close $give;
        writes($name, $user->{token}, $order, $to);
        POSIX::_exit(0);
    }
    close $to;
    close $order;
    return { pid => $pid, from => $from, give => $give, idle => 1 };
}

sub writes {
    my ($name, $token, $order, $to) = @_;
    my $ua = Mojo::UserAgent->new(max_connections => 0, request_timeout => 60);
    my ($n, $what, %status, @id) = (0);
    while (sysread($order, $what, 1) && $what eq 'w') {
        my $tx = $ua->post($s->url . "/v1/tenants/$tenant->{id}/messages",
            { Authorization => "Bearer $token" }, json => { content => "$name " . ++$n });
        my $code = $tx->res->code // 0;
        $code .= ' ' . $tx->error->{message} if $code == 0;
        $status{$code}++;
        push @id, $tx->res->json->{id} if $code == 201;
        syswrite $to, 'w';
    }
    print {$to} encode_json({ status => \%status, id => \@id });
    close $to;
    return;
}

sub more {
    my ($writer) = @_;
    if (!$writer->{idle} && IO::Select->new($writer->{from})->can_read(0)) {
        $writer->{idle} = sysread $writer->{from}, $writer->{said}, 1;
    }
    $writer->{idle} = 0 if $writer->{idle} && syswrite $writer->{give}, 'w';
    return;
}

sub ends {
    my ($writer) = @_;
    syswrite $writer->{give}, 'e';
    my $said = do { local $/; readline $writer->{from} };
    waitpid $writer->{pid}, 0;
    return decode_json($said =~ s/\Aw//r);
}

my @writer = map { writer("writer$_") } 1 .. 2;
$crowd->{each} = sub { more($_) for @writer };
for my $i (1 .. $reloads) {
    my $before = $crowd->{returns};
    my $began = time;
    kill HUP => $s->master;
    $crowd->run_until(sub { $crowd->{returns} >= $before + $sockets && $crowd->live == $sockets });
    diag(sprintf 'reload %d: all %d back in step after %.1f s', $i, $sockets, time - $began);
    $crowd->run_until(sub { time >= $began + 10 }) if $full;
    last if @{ $crowd->{violations} } > 20;
}
delete $crowd->{each};
my @result = map { ends($_) } @writer;

# ------------------------------------------------------------------ judgement

my $last = seq();
$crowd->run_until(sub { $crowd->in_step($last) == $sockets });
my @violation = @{ $crowd->{violations} };
splice @violation, 20 if @violation > 20;
is_deeply \@violation, [], 'no socket missed an event, and each was told why it went';
is $crowd->{returns}, $sockets * $reloads, "each was sent away $reloads times";
my ($most) = sort { $b <=> $a } @{ $crowd->{told} };
my $window = int($sockets / 500) + 1;
cmp_ok $most, '<=', $window, "within $window s: the window of $sockets sockets";
my %at;
$at{$_}++ for @{ $crowd->{told} };
is scalar keys %at, $window + 1, '... all of which is used';

my @id = map { @{ $_->{id} } } @result;
is_deeply [ map { keys %{ $_->{status} } } @result ], [ 201, 201 ], 'no request was dropped';
cmp_ok scalar @id, '>=', $reloads, 'and there were some';
my $missed = grep { my $m = $_; grep { !$m->{said}{$_} } @id } @{ $crowd->{member} };
is $missed, 0, 'what was acknowledged was seen by every socket';
diag(sprintf '%d events, %d frames seen twice, %d connections refused for a moment', scalar @id,
    $crowd->{twice}, $crowd->{refused} // 0);

$crowd->end;
$s->remember;
$s->stop;
done_testing;
