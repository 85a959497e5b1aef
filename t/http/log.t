# The access log tells routes, never what stands in a path or a query.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use Mojo::JSON qw(decode_json);
use Test::More;
use Time::HiRes qw(sleep time);

my $s = GoConnect::Server->start;
my $id = '00000000-0000-4000-8000-000000000000';

sub lines {
    open my $fh, '<', $s->dir . '/access.log' or die $!;
    my @line = <$fh>;
    return @line;
}

for my $case (
    [ '/v1/invites/SECRET2345', '/v1/invites/{code:code}' ],
    [ "/v1/invites/$id", '(other)' ],
    [ "/v1/tenants/$id/members?cursor=SECRET", '/v1/tenants/{tenant_id:uuid}/members' ],
    [ '/v1/auth/me?token=SECRET', '/v1/auth/me' ],
    [ '/v1/ws?token=SECRET', '/v1/ws' ],
    [ '/i/SECRET2345', '/index.html' ],
    [ '/v1/SECRET', '(other)' ],
    [ '/SECRET', '(other)' ],
    [ '/healthz?SECRET', '/healthz' ],
) {
    my ($path, $logged) = @$case;
    my $before = lines();
    $s->api(GET => $path);

    # the line is written after the answer
    my $end = time + 10;
    sleep 0.01 while lines() == $before && time < $end;
    is decode_json((lines())[-1])->{route}, $logged, $path;
}
open my $fh, '<', $s->dir . '/access.log' or die $!;
unlike join('', <$fh>), qr/SECRET|$id/, 'nothing else is told';

# What a line holds.
my $user = $s->register('logged');
my (undef, undef, $tx) = $s->api(GET => '/v1/auth/me', undef, token => $user->{token});
my $request_id = $tx->res->headers->header('X-Request-Id');
my $end = time + 10;
my $line;
until (($line) = grep { $_->{request_id} eq $request_id } map { decode_json($_) } lines()) {
    last if time > $end;
    sleep 0.01;
}
is $line->{user}, $user->{id}, 'who asked';
is $line->{status}, 200, 'how it ended';
cmp_ok $line->{bytes}, '>', 50, 'bytes';
cmp_ok $line->{database_time}, '>', 0, 'the time that the database took';
my @quiet = grep { $_->{route} eq '/healthz' } map { decode_json($_) } lines();
is $quiet[0]{database_time}, undef, '... null where it was not asked';
is $quiet[0]{user}, '', '... and nobody';
$s->stop;
done_testing;
