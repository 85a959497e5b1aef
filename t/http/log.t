# The access log tells routes, never what stands in a path or a query.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
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
    is +(split ' ', (lines())[-1])[3], $logged, $path;
}
open my $fh, '<', $s->dir . '/access.log' or die $!;
unlike join('', <$fh>), qr/SECRET|$id/, 'nothing else is told';
$s->stop;
done_testing;
