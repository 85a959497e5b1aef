# PostgreSQL crashes and comes back under load: the only 5xx is 503, nothing
# that was acknowledged is lost and nothing is there that nobody sent. Agents
# stay connected or come back.

use strict;
use warnings;
use Test::More;
use GoConnect::Device;
use GoConnect::Lab;
use GoConnect::Server;
use Mojo::JSON qw(decode_json encode_json);
use Mojo::UserAgent;
use POSIX ();
use Time::HiRes qw(sleep time);

my $lab = GoConnect::Lab->new->enter;
my $s = GoConnect::Server->start(workers => 2, cluster => 'own', fsync => 1,
    address => $GoConnect::Lab::SERVER,
    allow => qr/\[(?:warn|error|crit)\].*(?:goconnect|database|PostgreSQL|connection)/i);

my $owner = $s->register('owner');
my @as = (token => $owner->{token});
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Friends' }, @as);
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'Lan', join_policy => 'invite' }, @as);
my $invite = $s->must(201, POST => "/v1/tenants/$tenant->{id}/invites",
    { network_id => $network->{id}, max_uses => 10 }, @as);
$s->must([ 200, 204 ], POST => "/v1/invites/$invite->{code}/accept", {}, @as);

my ($ada, $bob) = map { GoConnect::Device->new($lab, $_) } qw(ada bob);
for my $d ($ada, $bob) {
    $d->register($s->url);
    $d->join($invite->{url});
}
ok defined $ada->host->reaches($bob->address, 20), 'the tunnel is up';
my $to_bob = $bob->address;

# Four writers and two readers, each a process with a journal of what it sent
# and what was answered. One in two writers retries a 503 with its key.
my $path = "/v1/networks/$network->{id}/messages";
my @child;
for my $n (1 .. 6) {
    my $pid = fork // die $!;
    if (!$pid) {
        load($n, $s->dir . "/journal.$n");
        POSIX::_exit(0);
    }
    push @child, $pid;
}

sub load {
    my ($n, $file) = @_;
    my $ua = Mojo::UserAgent->new(request_timeout => 20, inactivity_timeout => 20);
    open my $journal, '>', $file or POSIX::_exit(1);
    $journal->autoflush;
    my %header = (Authorization => "Bearer $owner->{token}", 'Content-Type' => 'application/json');
    my $end = time + 9;
    my $i = 0;
    while (time < $end) {
        my $text = "w$n-" . ++$i;
        my $key = sprintf '%08x-0000-4000-8000-%012x', $n, $i;
        for my $try (1 .. ($n % 2 ? 5 : 1)) {
            my $tx = $n > 4
                ? $ua->get($s->url . "/v1/networks/$network->{id}/peers", \%header)
                : $ua->post($s->url . $path, { %header, 'Idempotency-Key' => $key },
                    encode_json({ content => $text }));
            my $code = $tx->res->code // 0;
            my $problem = $code >= 400 ? (eval { $tx->res->json->{code} } // '?') : '';
            print $journal "$code $text $problem\n";
            last if $code != 503;
            sleep 0.05;
        }
    }
    close $journal;
    return;
}

sleep 2;
$s->restart_database('immediate');
sleep 2;
$s->stop_database('immediate');
sleep 1;
$s->start_database;
waitpid $_, 0 for @child;
$s->wait_pool;

my (%acknowledged, %sent, %code);
for my $n (1 .. 6) {
    open my $fh, '<', $s->dir . "/journal.$n" or die $!;
    while (<$fh>) {
        my ($code, $text) = split;
        $code{$code}++;
        next if $n > 4;
        $sent{$text} = 1;
        $acknowledged{$text} = 1 if $code == 201 || $code == 200;
    }
}
diag 'answers: ' . join ', ', map { "$code{$_} x $_" } sort keys %code;
is_deeply [ grep { $_ >= 500 && $_ != 503 || $_ == 0 } keys %code ], [], 'no 5xx but 503';
ok keys %acknowledged > 50, scalar(keys %acknowledged) . ' messages were acknowledged';
ok $code{503}, 'the database was away for some';

my (%there, $twice);
my $after = 0;
while (1) {
    my $page = $s->must(200, GET => "$path?limit=100&after_seq=$after", undef, @as);
    last if !@{ $page->{items} };
    for my $item (@{ $page->{items} }) {
        $twice++ if $there{ $item->{content} }++;
        $after = $item->{seq} if $item->{seq} > $after;
    }
}
is_deeply [ grep { !$there{$_} } sort keys %acknowledged ], [], 'nothing acknowledged is lost';
is_deeply [ grep { !$sent{$_} } sort keys %there ], [], 'nothing is invented';
is $twice // 0, 0, 'nothing is there twice: retries carried their key';

ok defined $ada->host->reaches($to_bob, 5), 'the tunnel stayed up';
for my $d ($ada, $bob) {
    ok defined $d->await(sub { $d->json('status')->{control} eq 'connected' }, 60),
        $d->name . ' is connected';
}
my $cyd = GoConnect::Device->new($lab, 'cyd');
$cyd->register($s->url);
$cyd->join($invite->{url});
ok defined $ada->sees([qw(bob cyd)], 20), 'a newcomer is seen';

is $_->stop_daemon, 0, $_->name . ' ends clean' for $ada, $bob, $cyd;
$s->stop;
done_testing;
