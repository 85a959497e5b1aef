# What is taken from somebody is gone from his open sockets in the same commit,
# on whichever worker they are, and he cannot subscribe to it again.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Server;
use GoConnect::World;
use Test::More;

my $s = GoConnect::Server->start(workers => 2);
my $w = GoConnect::World->new($s);
my $home = $w->{home};
my %id = map { $_ => $w->{user}{$_}{id} } keys %{ $w->{user} };
my ($tenant, $lan) = ("tenant:$home->{tenant}", "network:$home->{network}");

# Sockets of a user or device, one on each worker, subscribed to topics.
my @open;
sub sockets {
    my ($who, @topics) = @_;
    my %on;
    my @left;
    for (1 .. 60) {
        my $ws = $s->ws(token => $w->token($who));
        my $node = $ws->expect('hello')->{data}{node};
        if ($on{$node}) { $ws->close } else { $on{$node} = $ws }
        last if keys %on == 2 || $who =~ /device/;    # which has one connection
    }
    for my $ws (values %on) {
        my $answer = $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => undef } } @topics ] });
        is_deeply $answer->{data}{refused}, [], "$who may have @{[ scalar @topics ]} topics";
    }
    push @open, values %on;
    return values %on;
}

# That a socket hears nothing more of a topic: $say says something there, and
# returns how to know it, then somebody else hears it, then the socket answers a
# ping.
sub hears_nothing {
    my ($ws, $topic, $witness, $say, $what) = @_;
    @{ $ws->{frames} } = ();
    my $known = $say->();
    $witness->expect(sub { ($_[0]{topic} // '') eq $topic && $known->($_[0]) });
    $ws->ask('ping');
    is scalar(grep { ($_->{topic} // '') eq $topic } $ws->frames), 0, "$what hears no more of $topic";
    return;
}

sub refused {
    my ($ws, $code, @topics) = @_;
    for my $seq (undef, 0) {
        my $answer = $ws->ask(subscribe => { topics => [ map { { topic => $_, seq => $seq } } @topics ] });
        is_deeply [ map { $_->{code} } @{ $answer->{data}{refused} } ], [ ($code) x @topics ],
            "... and gets @topics no more" . (defined $seq ? ', not to replay either' : '');
        is_deeply $answer->{data}{topics}, [], '... nothing of it';
    }
    return;
}

sub revoked { my ($ws, $scope) = @_; return $ws->expect(sub { $_[0]{type} eq 'revoked' && $_[0]{data}{scope} eq $scope }) }

my $chat = 0;
sub say_in_lan {
    my $line = $w->must(201, 'network_messages_create', as => 'owner', path => [ $home->{network} ],
        body => { content => 'line ' . ++$chat });
    return sub { ($_[0]{data}{id} // '') eq $line->{id} };
}

my ($witness) = sockets('owner', $tenant, "$tenant/staff", $lan, "$lan/staff");

# ------------------------------------------------------------------------ kick

my @mine = sockets('member', $tenant, $lan, "user:$id{member}");
my ($phone) = sockets('member device', $lan, "device:$home->{device}");
$phone->expect('netmap');
$w->must(204, 'networks_kick', as => 'moderator', path => [ $home->{network} ],
    body => { user_id => $id{member}, reason => 'a break' });
for my $ws (@mine) {
    my $said = revoked($ws, 'network');
    is "$said->{data}{reason}: $said->{data}{detail}", 'kicked: a break', 'kicked: each socket hears it';
    is_deeply [ sort @{ $said->{data}{topics} } ], [ $lan, "$lan/staff" ], '... and which topics end';
    hears_nothing($ws, $lan, $witness, \&say_in_lan, 'who was kicked');
    refused($ws, 'forbidden', $lan);
    is $ws->ask('ping')->{type}, 'ok', '... the rest lives on';
}
ok revoked($phone, 'network'), 'his device hears it';
is_deeply $phone->expect(sub { $_[0]{type} eq 'self' && !@{ $_[0]{data}{peers} } })->{data}{peers}, [],
    '... and that it has no peers';
hears_nothing($phone, $lan, $witness, \&say_in_lan, 'his device');
is $phone->ask(signal => { network_id => $home->{network}, to_peer_id => $home->{peer}, data => {} })->{data}{code},
    'not_a_peer', '... and signals nobody there';
refused($phone, 'not_found', $lan);
my $delta = $witness->expect(sub { $_[0]{type} eq 'netmap_delta' && @{ $_[0]{data}{remove} } });
is_deeply $delta->{data}{remove}, [ $home->{peer} ], 'the others see his peer go';
$w->must(201, 'tenant_messages_create', as => 'owner', path => [ $home->{tenant} ], body => { content => 'still here' });
is $_->expect('chat_message')->{topic}, $tenant, 'the tenant goes on for him' for @mine;

# ------------------------------------------------------------------------- ban

# a device that only watches, without a peer in the network
$w->must(200, 'networks_join', as => 'member', path => [ $home->{network} ], body => {});
my $watch = $phone->ask(subscribe => { topics => [ { topic => $lan, seq => undef } ] });
is_deeply $watch->{data}{refused}, [], 'he joins again; a device of his watches without a peer';
$_->ask(subscribe => { topics => [ { topic => $lan, seq => undef } ] }) for @mine;
@{ $_->{frames} } = () for @mine, $phone, $witness;
$w->must(201, 'networks_ban', as => 'moderator', path => [ $home->{network} ],
    body => { user_id => $id{member}, reason => 'spam', expires_in => 3600 });
for my $ws (@mine) {
    is revoked($ws, 'network')->{data}{reason}, 'banned', 'banned: each socket hears it';
    my $ban = $ws->expect('ban');
    is "$ban->{topic} $ban->{data}{change} $ban->{data}{ban}{reason}", "user:$id{member} added spam", '... with the ban';
    ok $ban->{data}{ban}{until}, '... until when';
    hears_nothing($ws, $lan, $witness, \&say_in_lan, 'the banned');
    refused($ws, 'forbidden', $lan, "$lan/staff");
}
ok revoked($phone, 'network'), 'the device that only watched hears it';
hears_nothing($phone, $lan, $witness, \&say_in_lan, 'it');
refused($phone, 'not_found', $lan);
is $phone->ask(chat_send => { network_id => $home->{network}, content => 'x', key => '0b7f6a52-9f0d-4d5f-8d3c-6f2a1b9c7e21' })
    ->{data}{status}, 404, 'it cannot write there';
is $phone->ask(endpoints => { network_id => $home->{network}, endpoints => ['192.0.2.1:5'] })->{data}{status}, 404,
    '... nor tell where it is';
is $witness->expect(sub { $_[0]{type} eq 'ban' })->{topic}, "$lan/staff", 'the staff hears of the ban';
push @open, $s->ws(token => $w->token('member'));
my $answer = $open[-1]->expect('hello');
is scalar(grep { $_->{topic} =~ /^\Q$lan\E/ } @{ $answer->{data}{topics} }), 0, 'a new socket is not offered it';
$w->must(204, 'networks_unban', as => 'moderator', path => [ $home->{network} ], body => { user_id => $id{member} });
is $_->expect(sub { $_[0]{type} eq 'ban' && $_[0]{data}{change} eq 'removed' })->{data}{reason}, 'lifted', 'lifted: he hears it'
    for @mine;
refused($mine[0], 'forbidden', $lan);
$w->must(200, 'networks_join', as => 'member', path => [ $home->{network} ], body => {});
is_deeply $mine[0]->ask(subscribe => { topics => [ { topic => $lan, seq => undef } ] })->{data}{refused}, [],
    '... and having joined again he may';

# a ban that ends by itself: the sweep tells
$w->must(201, 'networks_ban', as => 'moderator', path => [ $home->{network} ],
    body => { user_id => $id{member}, expires_in => 3600 });
$_->expect(sub { $_[0]{type} eq 'ban' && $_[0]{data}{change} eq 'added' }) for @mine;
$s->sql("UPDATE goconnect.bans SET until = now() - interval '1 second'; "
    . "UPDATE goconnect.chores SET done_at = '-infinity' WHERE name = 'sweep'");
is $_->expect(sub { $_[0]{type} eq 'ban' && $_[0]{data}{change} eq 'removed' }, timeout => 60)->{data}{reason}, 'expired',
    'expired: he hears it, on either worker' for @mine;

# -------------------------------------------------------------------- requests

my $club = $w->must(201, 'networks_create', as => 'admin', path => [ $home->{tenant} ],
    body => { name => 'Club', visibility => 'public', join_policy => 'approval' })->{id};
my @staff = sockets('admin', "network:$club", "network:$club/staff");
$w->must(202, 'networks_join', as => 'member', path => [$club], body => { note => 'me too' });
for my $ws (@staff) {
    my $request = $ws->expect('request');
    is "$request->{topic} $request->{data}{change} $request->{data}{request}{note}", "network:$club/staff added me too",
        'a request reaches the staff';
}
is $_->expect('request')->{data}{change}, 'added', '... and the other sockets of who asks' for @mine;
$w->must(200, 'networks_approve', as => 'moderator', path => [$club], body => { user_id => $id{member} });
is $_->expect('request')->{data}{reason}, 'approved', 'its end too' for @staff, @mine;
is $_->expect(sub { $_[0]{type} eq 'member' && $_[0]{topic} eq "network:$club" })->{data}{member}{user_id}, $id{member},
    '... and the members see him' for @staff;
is $_->expect(sub { $_[0]{type} eq 'network' && $_[0]{topic} eq "user:$id{member}" && $_[0]{data}{network}{id} eq $club })->{data}{network}{joined}, Mojo::JSON->true,
    '... and he that he is in' for @mine;

# ------------------------------------------------------------------- demotion

my @mod = sockets('moderator', $tenant, "$tenant/staff", $lan, "$lan/staff", "user:$id{moderator}");
@{ $_->{frames} } = () for @mod;
$w->must(200, 'members_update', as => 'owner', path => [ $home->{tenant}, $id{moderator} ], body => { role => 'member' });
for my $ws (@mod) {
    my $said = revoked($ws, 'role');
    is_deeply [ sort @{ $said->{data}{topics} } ], [ sort "$tenant/staff", "$lan/staff" ], 'demoted: the staff\'s topics end';
    refused($ws, 'forbidden', "$tenant/staff", "$lan/staff");
    @{ $ws->{frames} } = ();
    say_in_lan();
    is $ws->expect('chat_message')->{topic}, $lan, '... and no other';
    hears_nothing($ws, "$lan/staff", $witness, sub {
        $w->must(201, 'networks_ban', as => 'owner', path => [ $home->{network} ], body => { user_id => $id{outsider} });
        $w->must(204, 'networks_unban', as => 'owner', path => [ $home->{network} ], body => { user_id => $id{outsider} });
        return sub { $_[0]{type} eq 'ban' && $_[0]{data}{change} eq 'removed' && $_[0]{data}{ban}{user_id} eq $id{outsider} };
    }, 'who was moderator');
}
@{ $_->{frames} } = () for @mod;
$w->must(200, 'members_update', as => 'owner', path => [ $home->{tenant}, $id{moderator} ], body => { role => 'moderator' });
$_->ask('ping') for @mod;
is scalar(grep { $_->{type} eq 'revoked' } map { $_->frames } @mod), 0, 'a promotion revokes nothing';
is_deeply $mod[0]->ask(subscribe => { topics => [ { topic => "$lan/staff", seq => undef } ] })->{data}{refused}, [],
    '... and opens the topic again';

# a role in the network alone
$w->must(200, 'networks_join', as => 'member', path => [ $home->{network} ], body => {});
$w->must(200, 'network_members_update', as => 'admin', path => [ $home->{network}, $id{member} ], body => { role => 'moderator' });
my ($deputy) = sockets('member', "$lan/staff", $lan);
$w->must(200, 'network_members_update', as => 'admin', path => [ $home->{network}, $id{member} ], body => { role => 'member' });
is_deeply revoked($deputy, 'role')->{data}{topics}, ["$lan/staff"], 'a role in a network that goes takes its staff\'s topic';
refused($deputy, 'forbidden', "$lan/staff");

# a required_role that rises above him
@{ $_->{frames} } = () for @mine, @staff;
$w->must(200, 'networks_update', as => 'owner', path => [$club], body => { required_role => 'owner' });
is revoked($_, 'network')->{data}{reason}, 'role_too_low', 'a required_role above him: out' for @mine;
refused($mine[0], 'not_found', "network:$club", "network:$club/staff");
ok revoked($_, 'network'), 'an admin who was in it too' for @staff;
refused($staff[0], 'not_found', "network:$club", "network:$club/staff");

# -------------------------------------------------------------------- deletion

my @look = sockets('admin', "network:$home->{lobby}", "network:$home->{lobby}/staff");
$w->must(204, 'networks_delete', as => 'owner', path => [ $home->{lobby} ]);
for my $ws (@look) {
    is revoked($ws, 'network')->{data}{reason}, 'network_deleted', 'deleted: who looked at it without being in it hears so';
    refused($ws, 'not_found', "network:$home->{lobby}", "network:$home->{lobby}/staff");
}
my ($phone2) = sockets('owner device', $lan);
$w->must(204, 'networks_delete', as => 'owner', path => [ $home->{network} ]);
my @all = ($witness, @mod, $deputy, $phone2);
is revoked($_, 'network')->{data}{reason}, 'network_deleted', 'deleted: everybody in it hears so' for @all;
refused($_, 'not_found', $lan, "$lan/staff") for $witness, @mod;
refused($phone2, 'not_found', $lan);
$w->must(201, 'tenant_messages_create', as => 'owner', path => [ $home->{tenant} ], body => { content => 'on we go' });
is $_->expect(sub { $_[0]{type} eq 'chat_message' && $_[0]{data}{content} eq 'on we go' })->{topic}, $tenant, 'the rest lives on'
    for $witness, @mod;

# --------------------------------------------------------- out of the tenant

@{ $_->{frames} } = () for @mod;
$w->must(201, 'tenant_bans_create', as => 'owner', path => [ $home->{tenant}, $id{moderator} ], body => { reason => 'bye' });
for my $ws (@mod) {
    my $said = revoked($ws, 'tenant');
    is "$said->{data}{reason}: $said->{data}{detail}", 'banned: bye', 'banned from the tenant: each socket hears it';
    hears_nothing($ws, $tenant, $witness, sub {
        my $line = $w->must(201, 'tenant_messages_create', as => 'owner', path => [ $home->{tenant} ], body => { content => 'x' });
        return sub { ($_[0]{data}{id} // '') eq $line->{id} };
    }, 'the banned');
    refused($ws, 'not_found', $tenant, "$tenant/staff");
}

$_->close for @open;
$s->stop;
done_testing;
