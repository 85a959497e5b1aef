# The database goes away under load: 503 and nothing else, nothing that was
# acknowledged is lost, and everything is back by itself.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Mojo::IOLoop;
use Mojo::UserAgent;
use Test::More;
use Time::HiRes qw(time);

my $s = GoConnect::Server->start(workers => 2, cluster => 'own', fsync => 1,
    allow => qr/the database is away|database .* lost|the database said 57|terminating connection|connection to server|\[warn\].*goconnect:/);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my $token = $w->token('member');

# Writers and readers without a pause for so many seconds; `during` is run once.
sub load {
    my ($seconds, $after, $during) = @_;
    my $ua = Mojo::UserAgent->new(request_timeout => 20, inactivity_timeout => 20,
        max_connections => 64);
    my $end = time + $seconds;
    my ($n, $open) = (0, 0);
    my (%status, @acknowledged, @unknown, %code, @odd);
    my $one;
    $one = sub {
        my ($kind) = @_;
        return if time > $end;
        $open++;
        my $content = "message " . ++$n;
        my $built = $kind eq 'write'
            ? $ua->build_tx(POST => $s->url . "/v1/networks/$home->{network}/messages",
                { Authorization => "Bearer $token" }, json => { content => $content })
            : $ua->build_tx(GET => $s->url . "/v1/networks/$home->{network}/peers",
                { Authorization => "Bearer $token" });
        $ua->start($built => sub {
            my ($agent, $tx) = @_;
            my $code = $tx->res->code // 0;
            $status{"$kind $code"}++;
            if ($code == 503) {
                my $why = $tx->res->json->{code};
                $code{$why}++;
                push @unknown, $content if $kind eq 'write' && $why eq 'outcome_unknown';
                push @odd, 'no Retry-After' if !$tx->res->headers->header('Retry-After');
            } elsif ($code == 201) {
                push @acknowledged, $content;
            } elsif ($code != 200) {
                push @odd, "$kind $code " . ($tx->res->body || ($tx->error // {})->{message} // '');
            }
            $open--;
            Mojo::IOLoop->timer(($code == 503 ? 0.02 : 0) => sub { $one->($kind) });
            Mojo::IOLoop->stop if !$open && time > $end;
        });
    };
    $one->($_ % 2 ? 'read' : 'write') for 1 .. 16;
    Mojo::IOLoop->timer($after => $during);
    my $guard = Mojo::IOLoop->recurring(0.1 => sub { Mojo::IOLoop->stop if !$open && time > $end });
    Mojo::IOLoop->start;
    Mojo::IOLoop->remove($guard);
    return { status => \%status, acknowledged => \@acknowledged, unknown => \@unknown,
        code => \%code, odd => \@odd };
}

sub stored {
    my @line = split /\n/, $s->sql("SELECT content FROM goconnect.messages "
        . "WHERE network_id = '$home->{network}'");
    my %stored;
    $stored{$_}++ for @line;
    return \%stored;
}

# Every worker has its own connections: ready means that each has answered.
sub recovered {
    my ($what) = @_;
    my ($good, $end) = (0, time + 20);
    while ($good < 10 && time < $end) {
        my ($status) = $w->call('auth_me', as => 'member', ua => $s->_new_ua);
        $good = $status == 200 ? $good + 1 : 0;
        select undef, undef, undef, 0.05 if !$good;
    }
    is $good, 10, $what;
    return;
}

for my $mode (qw(fast immediate)) {
    $s->sql('DELETE FROM goconnect.messages');
    my $got = load(6, 1.5, sub {
        $s->stop_database($mode);
        Mojo::IOLoop->timer(1 => sub { $s->start_database });
    });
    note "$mode: " . join ', ', map { "$_: $got->{status}{$_}" } sort keys %{ $got->{status} };
    note "$mode: " . join ', ', map { "$_: $got->{code}{$_}" } sort keys %{ $got->{code} };
    is join("\n", @{ $got->{odd} }), '', "$mode: 503 and nothing else";
    cmp_ok $got->{status}{'write 201'} // 0, '>', 20, "$mode: writes were acknowledged";
    cmp_ok $got->{status}{'write 503'} // 0, '>', 0, "$mode: and refused meanwhile";
    $s->wait_ready;
    my $stored = stored();
    my @lost = grep { !$stored->{$_} } @{ $got->{acknowledged} };
    is "@lost", '', "$mode: nothing acknowledged is lost";
    my @twice = grep { $stored->{$_} > 1 } keys %$stored;
    is "@twice", '', "$mode: nothing is there twice";
    my %known = map { $_ => 1 } @{ $got->{acknowledged} }, @{ $got->{unknown} };
    my @invented = grep { !$known{$_} } keys %$stored;
    is "@invented", '', "$mode: nothing is there that was said to have failed";
}

# While it is away: each kind of answer.
$s->stop_database('fast');
my ($status, $json, $tx);
for my $case ([ 'auth_me', as => 'member' ], [ 'tenants_create', as => 'member', body => { name => 'x' } ],
    [ 'auth_login', body => { username => 'member-x', password => 'correct horse' } ], ['readyz'])
{
    ($status, $json, $tx) = $w->call(@$case);
    is $status, 503, "$case->[0]: 503" or diag $tx->res->body;
    ok $tx->res->headers->header('Retry-After'), "$case->[0]: Retry-After";
}
is(($w->call('healthz'))[0], 200, 'healthz is of the process');
is(($w->call('info'))[0], 200, 'info too');
is(($w->call('auth_me', as => 'nobody'))[0], 401, 'a missing token needs no database');
is(($w->call('tenants_create', as => 'member', body => {}))[0], 422, 'nor does a wrong body');
$s->start_database;
recovered('back, with nobody\'s help');

# A backend that is terminated, in the middle of what it does.
$s->sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'goconnect'");
recovered('after the backends were terminated');

$s->remember;
$s->stop;
done_testing;
