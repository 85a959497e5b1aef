# The server's administration: its first admin, finding, suspending, links for
# a new password, deleting tenants.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my ($home, $user) = @$w{qw(home user)};
my $root = $user->{root} = $s->register('root-x');

sub command {
    my (@arg) = @_;
    open my $fh, '-|', 'sh', '-c', 'exec "$@" 2>&1', 'sh',
        "$GoConnect::Cluster::ROOT/sql/server-admin", @arg or die $!;
    my $said = do { local $/; <$fh> } // '';
    close $fh;
    return ($? >> 8) . " $said";
}

sub watch {
    my ($token, @topic) = @_;
    my $ws = $s->ws(token => $token);
    $ws->expect('hello');
    $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topic ] });
    return $ws;
}

subtest 'the first admin' => sub {
    my $conninfo = $s->conninfo('postgres');
    $w->is(403, 'forbidden', 'nobody is one', 'admin_stats', as => 'root');
    is command(), '2 ' . command('--help') =~ s/^0 //r, 'wrong usage shows the usage';
    like command($conninfo, 'grant', 'nobody-x'), qr/^1 .*no user called nobody-x/, 'nobody is made none';
    like command($conninfo, 'grant', "x'; DROP TABLE goconnect.users; --"), qr/^1 .*no user/, 'nor is SQL';
    is command($conninfo, 'list'), '0 ', 'there is none';
    is command($conninfo, 'grant', 'ROOT-x'), "0 ROOT-x is a server admin\n", 'the command makes one';
    is command($conninfo, 'list'), "0 root-x\n", '... lists him';
    $w->is(200, undef, '... who may at once', 'admin_stats', as => 'root');
    is command($conninfo, 'revoke', 'root-x'), "0 root-x is no server admin\n", '... and takes it away';
    $w->is(403, 'forbidden', '... at once too', 'admin_stats', as => 'root');
    command($conninfo, 'grant', 'root-x');
    is $s->sql("SELECT string_agg(detail #>> '{after,server_admin}', ' ' ORDER BY id) FROM "
        . "goconnect.audit_log WHERE action = 'user.server_admin'"), 'true false true',
        'all of it is in the audit trail';
    like command($s->conninfo('goconnect'), 'grant', 'root-x'), qr/^1 .*permission denied/,
        'the module\'s own role may not';
};

subtest 'finding' => sub {
    my $page = $w->must(200, 'admin_users_list', as => 'root', query => { q => 'ADMIN' });
    is join(' ', map { $_->{username} } @{ $page->{items} }), 'admin-x', 'by the beginning of a name';
    ok !exists $page->{items}[0]{password_hash}, '... without what nobody should see';
    my @name;
    my $cursor;
    do {
        $page = $w->must(200, 'admin_users_list', as => 'root',
            query => { limit => 2, defined $cursor ? (cursor => $cursor) : () });
        push @name, map { $_->{username} } @{ $page->{items} };
        $cursor = $page->{next_cursor};
    } while defined $cursor && @name < 50;
    is_deeply \@name, [ sort map { $_->{name} } values %$user ], 'all, page by page';
    $w->is(422, 'invalid_fields', 'no cursor', 'admin_users_list', as => 'root', query => { cursor => 'zz' });
    is_deeply [ map { $_->{owners}[0]{username} } @{ $w->must(200, 'admin_tenants_list',
        as => 'root', query => { q => 'foreig' })->{items} } ], ['outsider-x'], 'private tenants';
    $w->is(422, 'invalid_fields', 'no cursor', 'admin_tenants_list', as => 'root', query => { cursor => 'x' });
    is $w->must(200, 'admin_stats', as => 'root')->{tenants}, 2, 'numbers';
};

subtest 'suspending' => sub {
    my $id = $user->{member}{id};
    my @suspend = ('admin_users_suspend', as => 'root', path => [$id]);
    my $person = watch($w->token('member'), "user:$id");
    my $device = watch($w->token('member device'), "device:$home->{device}");
    my $other = watch($w->token('owner'), "network:$home->{network}");
    $w->is(422, 'invalid_fields', 'a long reason', @suspend, body => { reason => 'x' x 501 });
    my $account = $w->is(200, undef, 'a member', @suspend, body => { reason => 'spam' });
    ok $account->{suspended_at} && $account->{suspended_reason} eq 'spam', '... with a reason';
    is $person->closed, 4003, 'his socket ends';
    is $device->closed, 4003, 'his device\'s ends';
    is_deeply $other->expect('netmap_delta')->{data}{remove}, [ $home->{peer} ],
        'his peer leaves the maps';
    $other->close;
    $w->is(401, 'session_revoked', 'his token is dead', 'auth_me', as => 'member');
    $w->is(401, 'session_revoked', '... his device\'s too', 'auth_me', as => 'member device');
    is(($s->api(POST => '/v1/auth/refresh', { refresh_token => $user->{member}{refresh} }))[0], 401,
        'and his refresh token');
    is(($s->api(POST => '/v1/auth/login', { username => 'member-x', password => $user->{member}{password} }))[1]{code},
        'suspended', 'he cannot log in');
    is_deeply [ grep { $_ eq 'member-x' } map { $_->{username} } @{ $w->must(200, 'members_list',
        as => 'owner', path => [ $home->{tenant} ])->{items} } ], ['member-x'], 'he stays a member';
    $w->is(200, undef, 'again', @suspend);
    $w->is(200, undef, 'restored', 'admin_users_restore', as => 'root', path => [$id]);
    is $s->login('member-x')->{id}, $id, '... he logs in';
    my $unknown = ['00000000-0000-4000-8000-000000000000'];
    $w->is(404, 'not_found', 'nobody', 'admin_users_suspend', as => 'root', path => $unknown);
    $w->is(404, 'not_found', '... is restored', 'admin_users_restore', as => 'root', path => $unknown);
    $w->is(404, 'not_found', '... gets a link', 'admin_users_reset_link', as => 'root', path => $unknown);
    $w->is(409, 'own_account', 'not oneself', 'admin_users_suspend', as => 'root', path => [ $root->{id} ]);
};

subtest 'a link for a new password' => sub {
    my ($link, $tx) = $w->is(201, undef, 'a link', 'admin_users_reset_link', as => 'root',
        path => [ $user->{pending}{id} ]);
    my ($base, $token) = split /#/, $link->{url};
    is $base, $s->url . '/reset', 'leads to this server';
    like $token, qr/^[A-Za-z0-9_-]{43}\z/, '... with a token behind the #';
    is $tx->res->headers->cache_control, 'no-store', '... that nobody keeps';
    unlike $s->sql("SELECT string_agg(l::text, ' ') FROM goconnect.reset_links l"), qr/\Q$token\E/,
        '... nor the database';
    $w->is(204, undef, 'sets a password', 'auth_reset', body => { token => $token, password => 'entirely new' });
    is $s->login('pending-x', 'entirely new')->{id}, $user->{pending}{id}, '... that is good';
    $w->is(403, 'invalid_reset_token', '... once', 'auth_reset',
        body => { token => $token, password => 'entirely other' });
};

subtest 'a tenant' => sub {
    my $ws = watch($w->token('owner'), "user:$user->{owner}{id}");
    my @delete = ('admin_tenants_delete', as => 'root', path => [ $home->{tenant} ]);
    $w->is(412, 'precondition_failed', 'another version', @delete, headers => { 'If-Match' => '"0"' });
    $w->is(204, undef, 'is deleted', @delete);
    is $ws->expect('revoked')->{data}{reason}, 'tenant_deleted', '... its members hear it';
    $ws->close;
    $w->is(404, 'not_found', '... once', @delete);
};

$s->stop;
done_testing;
