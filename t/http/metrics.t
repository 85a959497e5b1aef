# /metrics: what was done is counted, in a form that Prometheus takes.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use IPC::Open3;
use Test::More;
use Time::HiRes qw(sleep time);

my $s = GoConnect::Server->start(workers => 2, cluster => 'own');

sub text {
    my (undef, undef, $tx) = $s->api(GET => '/metrics');
    return $tx->res->body;
}

# The samples by name and labels.
sub samples {
    return map { /^(\S+) (\S+)$/ ? ($1 => $2) : () } grep { !/^#/ } split /\n/, shift // text();
}

sub sum {
    my ($name, %of) = @_;
    my $sum = 0;
    for (grep { /^goconnect_\Q$name\E(?:\{|$)/ } keys %of) { $sum += $of{$_} }
    return $sum;
}

# What a worker tells of itself comes within the second.
sub until_true {
    my ($test, $name) = @_;
    my $end = time + 20;
    my %now;
    until ($test->(%now = samples())) {
        last if time > $end;
        sleep 0.05;
    }
    ok $test->(%now), $name;
    return %now;
}

my (undef, undef, $tx) = $s->api(GET => '/metrics');
is $tx->res->code, 200, 'it answers';
is $tx->res->headers->content_type, 'text/plain; version=0.0.4; charset=utf-8', '... as it must';
is $tx->res->headers->cache_control, 'no-store', '... never cached';

my $ada = $s->register('ada');
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'T' }, token => $ada->{token});
$s->api(GET => '/v1/auth/me', undef, token => $ada->{token}) for 1 .. 7;
$s->api(GET => '/v1/auth/me');
$s->api(GET => '/nowhere', undef);
$s->api(GET => '/v1/nowhere');

my %m = samples();
is $m{'goconnect_http_requests_total{route="auth_me",status="200"}'}, 7, 'requests by route';
is $m{'goconnect_http_requests_total{route="auth_me",status="401"}'}, 1, '... and status';
is $m{'goconnect_http_requests_total{route="none",status="404"}'}, 1, '... or without a route';
is $m{'goconnect_http_request_duration_seconds_count{route="auth_me"}'}, 8, 'their durations';
is $m{'goconnect_http_request_duration_seconds_bucket{route="auth_me",le="+Inf"}'}, 8, '... to the end';
my @bucket = map { $m{$_} } sort { ($a =~ /le="([\d.]+)/)[0] <=> ($b =~ /le="([\d.]+)/)[0] }
    grep { /_bucket\{route="auth_me",le="\d/ } keys %m;
is scalar(@bucket), 13, '... in buckets';
is_deeply \@bucket, [ sort { $a <=> $b } @bucket ], '... that add up';
cmp_ok $m{'goconnect_database_calls_total{lane="read",result="ok"}'}, '>=', 7, 'calls to the database';
cmp_ok $m{'goconnect_database_call_seconds_total{lane="write"}'}, '>', 0, '... and their time';
cmp_ok $m{'goconnect_password_hashes_total'}, '>=', 1, 'passwords';
is sum('database_connections', %m), sum('database_connections_max', %m), 'the pool is whole';
like $m{'goconnect_build_info{version="0.1.0"}'}, qr/^1$/, 'the release';

%m = until_true(sub { my %m = @_; $m{goconnect_figures_time_seconds} }, 'the figures are read');
cmp_ok sum($_, %m), '>=', 0, "$_" for qw(users tenants networks devices peers messages devices_online);

my $device = $s->device($ada, name => 'laptop');
my $ws = $s->ws(token => $device->{token});
$ws->expect('hello');
%m = until_true(sub { my %m = @_; sum(websockets => %m) == 1 && sum(devices_connected => %m) == 1 },
    'an open WebSocket');
cmp_ok sum(topics => %m), '>=', 1, 'and its topics';
$ws->close;
%m = until_true(sub { my %m = @_; sum(websockets => %m) == 0 && $m{goconnect_websockets_closed_total} },
    'closed');
is $m{goconnect_websockets_opened_total}, $m{goconnect_websockets_closed_total}, 'as many as opened';
is sum(devices_connected => %m), 0, 'no device is left';
cmp_ok sum('worker_cpu_seconds_total', %m), '>', 0, 'processor time';
cmp_ok sum('worker_resident_memory_bytes', %m), '>', 1e6, 'memory';
is sum('bus_up', %m), 2, 'the bus of both workers';
cmp_ok sum('bus_lag_seconds', %m), '>', 0, 'and its lag';

# promtool's own opinion, of a text with everything in it
my $text = text();
my $pid = open3(my $to, my $from, undef, 'promtool', 'check', 'metrics');
print {$to} $text;
close $to;
my $said = do { local $/; <$from> };
waitpid $pid, 0;
is $?, 0, 'promtool finds nothing wrong' or diag $said;
is $said // '', '', '... and nothing to complain of';

# The shipped examples for Prometheus and Grafana ask for what there is.
my $examples = "$FindBin::Bin/../../conf/monitoring";
for my $check ([ 'config', 'prometheus.yml' ], [ 'rules', 'alerts.yml' ]) {
    my $out = `promtool check $check->[0] '$examples/$check->[1]' 2>&1`;
    is $?, 0, "$check->[1] is good" or diag $out;
}
my %family = map { ($_ => 1) } $text =~ /^# TYPE (\S+)/mg;
for my $file ('alerts.yml', 'grafana.json') {
    open my $fh, '<', "$examples/$file" or die "$file: $!";
    my $said = do { local $/; <$fh> };
    my %asked = map { s/_bucket$//r => 1 } $said =~ /\b(goconnect_[a-z_]+)/g;
    is_deeply [ grep { !$family{$_} } sort keys %asked ], [], "$file asks for nothing else";
    cmp_ok keys %asked, '>', 3, '... and for something';
}

# What a reload keeps, and what a worker's death does.
%m = samples();
my $was = $m{'goconnect_http_requests_total{route="auth_me",status="200"}'};
$s->reload;
$s->api(GET => '/v1/auth/me', undef, token => $ada->{token});
%m = samples();
is $m{'goconnect_http_requests_total{route="auth_me",status="200"}'}, $was + 1, 'a reload goes on counting';

$s->stop_database;
$s->api(GET => '/v1/auth/me', undef, token => $ada->{token});
%m = until_true(sub { my %m = @_; sum('database_connections', %m) == 0 }, 'the database is away');
cmp_ok sum('database_connection_failures_total', %m), '>', 0, 'which is counted';
cmp_ok $m{'goconnect_http_requests_total{route="auth_me",status="503"}'}, '>=', 1, '... and answered';
$s->start_database;
until_true(sub { my %m = @_; sum('database_connections', %m) == sum('database_connections_max', %m) },
    'and comes back');

$s->stop;
done_testing;
