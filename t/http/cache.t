# The response cache: what it saves, and that nobody is ever told what is not
# so any more, or not his to know. Each answer says from which worker and
# whether from the cache it came.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/../lib";
use GoConnect::Load;
use GoConnect::Routes;
use GoConnect::Server;
use Mojo::UserAgent;
use Test::More;
use Time::HiRes qw(sleep time);

my $TOLD = 'add_header X-Cache $goconnect_cache always; add_header X-Worker $pid always;';
my $s = GoConnect::Server->start(workers => 2, cluster => 'own', server => $TOLD);
my %route = GoConnect::Routes::by_name();
my (%ua, %seen);

# A connection to each worker.
sub connections {
    my ($server) = @_;
    my (%found, @spare);
    for (1 .. 400) {
        my $ua = Mojo::UserAgent->new(max_redirects => 0);
        my $worker = $ua->get($server->url . '/healthz')->res->headers->header('X-Worker') // next;
        $found{$worker} //= $ua;
        push @spare, $ua;    # kept open, so that the next one goes elsewhere
        last if keys %found == $server->{workers};
    }
    is scalar keys %found, $server->{workers}, 'a connection to each worker' or BAIL_OUT('no');
    return map { $found{$_} } sort keys %found;
}

my @ua = connections($s);

# One request by worker 0 or 1: status, JSON, "HIT", "MISS" or "", transaction.
sub ask {
    my ($worker, $method, $path, $body, %opt) = @_;
    my ($status, $json, $tx) = $s->api($method, $path, $body, ua => $ua[$worker], %opt);
    return ($status, $json, $tx->res->headers->header('X-Cache') // '', $tx);
}

# Reads until it comes from the cache, by both workers.
sub warm {
    my ($path, $token) = @_;
    my $end = time + 20;
    while (time < $end) {
        my @hit = grep { (ask($_, GET => $path, undef, token => $token))[2] eq 'HIT' } 1, 0, 1, 0;
        return 1 if @hit >= 3;
        sleep 0.02;
    }
    fail "$path never comes from the cache";
    return 0;
}

sub other { return 1 - $_[0] }

my $ada = $s->register('ada');
my $bob = $s->register('bob');
my $eve = $s->register('eve');
my $tenant = $s->must(201, POST => '/v1/tenants', { name => 'Home' }, token => $ada->{token});
my $network = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks",
    { name => 'lan', visibility => 'public', join_policy => 'open' }, token => $ada->{token});

sub add_member {
    my ($user) = @_;
    $s->must(201, POST => "/v1/tenants/$tenant->{id}/members", { user_id => $user->{id} },
        token => $ada->{token});
    $s->must(200, POST => "/v1/tenants/$tenant->{id}/members/accept", undef, token => $user->{token});
    return;
}

sub join_network {
    $s->must(200, POST => "/v1/networks/$network->{id}/join", {}, token => $_[0]{token});
    return;
}

add_member($bob);
join_network($bob);
my %device = (ada => $s->device($ada, name => 'anvil'), bob => $s->device($bob, name => 'bench'));
my %peer = map {
    $_ => $s->must(201, POST => "/v1/networks/$network->{id}/peers",
        { public_key => $s->wg_key }, token => $device{$_}{token})
} sort keys %device;

my %path = (
    me      => '/v1/auth/me',
    network => "/v1/networks/$network->{id}",
    peers   => "/v1/networks/$network->{id}/peers",
    netmap  => "/v1/devices/$device{bob}{id}/netmap",
);

is_deeply [ sort map { $_->{name} } grep { $_->{flags}{CACHED} } values %route ],
    [qw(auth_me devices_netmap networks_get peers_list)], 'the routes that are cached';

# ------------------------------------------------------------------ what is saved

subtest 'a hit' => sub {
    for my $what (sort keys %path) {
        warm($path{$what}, $bob->{token}) or next;
        my (undef, undef, undef, $first) = ask(0, GET => $path{$what}, undef, token => $bob->{token});
        my ($status, $json, $cache, $tx) = ask(1, GET => $path{$what}, undef, token => $bob->{token});
        is "$status $cache", '200 HIT', "$what: by another worker";
        is $tx->res->body, $first->res->body, '  the same bytes';
        my %header = map { $_ => $tx->res->headers->header($_) // '' }
            qw(Content-Type Cache-Control ETag);
        is $header{'Content-Type'}, 'application/json', '  its type';
        is $header{'Cache-Control'}, 'private, no-cache', '  for nobody else';
        like $tx->res->headers->header('X-Request-Id'), qr/^\w{32}$/, '  an id of its own';
        ($status, undef, $cache, $tx) = ask(0, HEAD => $path{$what}, undef, token => $bob->{token});
        is "$status $cache " . $tx->res->headers->content_length,
            '200 HIT ' . length $first->res->body, '  HEAD';
        next if !$header{ETag};
        ($status, undef, $cache) = ask(1, GET => $path{$what}, undef, token => $bob->{token},
            headers => { 'If-None-Match' => $header{ETag} });
        is "$status $cache", '304 HIT', '  If-None-Match';
    }
    my (undef, undef, $cache) = ask(0, GET => '/v1/tenants', undef, token => $bob->{token});
    is $cache, '', 'another route is not cached';
};

sub backends {
    return split /\n/, $s->pg->sql('postgres',
        "SELECT pid FROM pg_stat_activity WHERE usename = 'goconnect'");
}

subtest 'a hit asks the database nothing; without it there are none for long' => sub {
    $s->allow(qr/a database connection is missing|the database is away|no answer in time/);
    # trust ends a few seconds after the last sweep: where the machine was slower
    # than that between warming and asking, it is tried again
    my (@pid, $status, $cache);
    for my $try (1 .. 20) {
        warm($path{peers}, $bob->{token});
        @pid = backends();
        kill 'STOP', @pid;
        ($status, undef, $cache) = ask(0, GET => $path{peers}, undef, token => $bob->{token});
        last if $cache eq 'HIT';
        kill 'CONT', @pid;
        $s->wait_ready;
    }
    is "$status $cache", '200 HIT', 'answered while no backend does anything';
    my $end = time + 30;
    while (time < $end) {
        ($status, undef, $cache) = ask(1, GET => $path{peers}, undef, token => $bob->{token});
        last if $cache ne 'HIT';
        sleep 0.05;
    }
    is "$status $cache", '503 MISS', 'after a few seconds it is not trusted any more';
    kill 'CONT', @pid;
    $s->wait_ready;
    warm($path{peers}, $bob->{token});
};

# ------------------------------------------------------------------- who may read

subtest 'who may read' => sub {
    warm($path{$_}, $bob->{token}) for qw(peers network);
    is +(ask(0, GET => $path{peers}, undef, token => $eve->{token}))[0], 404, 'a stranger';
    is +(ask(0, GET => $path{network}, undef, token => $eve->{token}))[0], 404, 'likewise';
    is +(ask(0, GET => $path{netmap}, undef, token => $eve->{token}))[0], 404, 'likewise';
    is +(ask(0, GET => $path{netmap}, undef, token => $ada->{token}))[0], 404, 'an owner';
    is +(ask(0, GET => $path{peers}, undef))[0], 401, 'nobody';
    is +(ask(0, GET => $path{peers}, undef, token => 'x'))[0], 401, 'a bad token';

    my (undef, $json, $cache) = ask(0, GET => $path{peers}, undef, token => $ada->{token});
    is $cache, 'MISS', 'what another session may, says nothing of this one';
    warm($path{network}, $ada->{token});
    is +(ask(0, GET => $path{network}, undef, token => $ada->{token}))[1]{role}, 'owner',
        'a network is shown as its reader stands to it';
    is +(ask(1, GET => $path{network}, undef, token => $bob->{token}))[1]{role}, 'member',
        '  each';
    my $second = $s->login('bob');
    warm($path{me}, $bob->{token});
    warm($path{me}, $second->{token});
    is +(ask(0, GET => $path{me}, undef, token => $_->{token}))[1]{session}{id}, $_->{session_id},
        'a session is its own' for $bob, $second;
    warm($path{me}, $device{bob}{token});
    is +(ask(0, GET => $path{me}, undef, token => $device{bob}{token}))[1]{device}{id},
        $device{bob}{id}, 'and a device';
};

subtest 'views' => sub {
    warm("$path{peers}?limit=1", $bob->{token});
    my (undef, $one) = ask(0, GET => "$path{peers}?limit=1", undef, token => $bob->{token});
    my (undef, $all) = ask(0, GET => $path{peers}, undef, token => $bob->{token});
    is join(' ', map { scalar @{ $_->{items} } } $one, $all), '1 2', 'each page is its own';
    my $next = "$path{peers}?limit=1&cursor=$one->{next_cursor}";
    warm($next, $bob->{token});
    is +(ask(1, GET => $next, undef, token => $bob->{token}))[1]{items}[0]{name}, 'bench',
        'also behind a cursor';
    is +(ask(1, GET => "$path{peers}?cursor=NONSENSE!", undef, token => $bob->{token}))[0], 422,
        'what is no cursor';
};

# -------------------------------------------------------------- one's own writes

# Warm, write by one worker, read by the other (and by the same).
sub written {
    my ($name, $reader, $path, $write, $check) = @_;
    for my $round (0 .. 3) {
        my ($writes, $reads) = ($round & 1, $round >> 1);
        warm($path, $reader->{token});
        my $wrote = $write->($writes, $round);
        my ($status, $json, $cache) = ask($reads, GET => $path, undef, token => $reader->{token});
        ok $status == 200 && $check->($json, $round, $wrote),
            "$name: written by worker $writes, read by $reads ($cache)"
            or diag explain $status, $json;
    }
    return;
}

subtest 'own writes' => sub {
    written('a description', $ada, $path{network}, sub {
        my ($worker, $n) = @_;
        my ($status) = ask($worker, PATCH => $path{network}, { description => "round $n" },
            token => $ada->{token});
        is $status, 200, 'changed';
    }, sub { $_[0]{description} eq "round $_[1]" });

    written('a device\'s name', $bob, $path{netmap}, sub {
        my ($worker, $n) = @_;
        ask($worker, PATCH => "/v1/devices/$device{bob}{id}", { name => "bench $n" },
            token => $bob->{token});
    }, sub { $_[0]{self}{device}{name} eq "bench $_[1]" });

    written('the device asks itself', $device{bob}, $path{me}, sub {
        my ($worker, $n) = @_;
        ask($worker, PATCH => "/v1/devices/$device{bob}{id}", { name => "stool $n" },
            token => $bob->{token});
    }, sub { $_[0]{device}{name} eq "stool $_[1]" });

    written('endpoints of a peer', $device{bob}, $path{peers}, sub {
        my ($worker, $n) = @_;
        ask($worker, POST => "$path{peers}", { public_key => $peer{bob}{public_key},
            endpoints => ["192.0.2.$n:51820"] }, token => $device{bob}{token});
    }, sub { grep { ($_->{endpoint} // '') eq "192.0.2.$_[1]:51820" } @{ $_[0]{items} } });

    written('the map with them', $device{bob}, $path{netmap}, sub {
        my ($worker, $n) = @_;
        ask($worker, POST => "$path{peers}", { public_key => $peer{bob}{public_key},
            endpoints => ["192.0.2.9$n:51820"] }, token => $device{bob}{token});
    }, sub {
        grep { ($_->{endpoint} // '') eq "192.0.2.9$_[1]:51820" } @{ $_[0]{networks}[0]{peers} };
    });

    my $ws = $s->ws(token => $device{bob}{token});
    $ws->expect('hello');
    written('endpoints by WebSocket', $bob, $path{peers}, sub {
        my ($worker, $n) = @_;
        is $ws->ask(endpoints => { network_id => $network->{id},
            endpoints => ["198.51.100.$n:51820"] })->{type}, 'ok', 'told';
    }, sub { grep { ($_->{endpoint} // '') eq "198.51.100.$_[1]:51820" } @{ $_[0]{items} } });
    $ws->close;

    written('a new peer', $ada, $path{peers}, sub {
        my ($worker, $n) = @_;
        my $new = $s->device($ada, name => "new-$n");
        my ($status, $made) = ask($worker, POST => $path{peers}, { public_key => $s->wg_key },
            token => $new->{token});
        return $made->{id};
    }, sub { my $id = $_[2]; grep { $_->{id} eq $id } @{ $_[0]{items} } });

    written('routes that a peer offers, read by somebody else', $ada, $path{peers}, sub {
        my ($worker, $n) = @_;
        is +(ask($worker, PATCH => "/v1/peers/$peer{bob}{id}", { routes => ["10.77.$n.0/24"] },
            token => $bob->{token}))[0], 200, 'offered';
    }, sub { grep { "@{ $_->{offered_routes} }" eq "10.77.$_[1].0/24" } @{ $_[0]{items} } });

    written('and its end', $ada, $path{peers}, sub {
        my ($worker, $n) = @_;
        my ($gone) = grep { $_->{name} eq "new-$n" }
            @{ (ask(0, GET => $path{peers}, undef, token => $ada->{token}))[1]{items} };
        is +(ask($worker, DELETE => "/v1/peers/$gone->{id}", undef, token => $ada->{token}))[0], 204,
            'removed';
        return $gone->{id};
    }, sub { my $id = $_[2]; !grep { $_->{id} eq $id } @{ $_[0]{items} } });

    written('how many there are', $ada, $path{network}, sub {
        my ($worker, $n) = @_;
        my $new = $s->device($ada, name => "more-$n");
        ask($worker, POST => $path{peers}, { public_key => $s->wg_key }, token => $new->{token});
    }, sub { $_[0]{peer_count} == 3 + $_[1] });

    written('a tenant\'s name in the map', $bob, $path{netmap}, sub {
        my ($worker, $n) = @_;
        ask($worker, PATCH => "/v1/tenants/$tenant->{id}", { slug => "home-$n" },
            token => $ada->{token});
    }, sub { $_[0]{networks}[0]{dns}{domain} eq "lan.home-$_[1].gc" });

    if ($route{users_update} // $route{users_me_update}) {
        written('settings', $bob, $path{me}, sub {
            my ($worker, $n) = @_;
            ask($worker, PATCH => '/v1/users/me', { settings => { theme => $n & 1 ? 'dark' : 'light' } },
                token => $bob->{token});
        }, sub { $_[0]{user}{settings}{theme} eq ($_[1] & 1 ? 'dark' : 'light') });
        written('a name among the peers', $ada, $path{peers}, sub {
            my ($worker, $n) = @_;
            is +(ask($worker, PATCH => '/v1/users/me', { username => "bob$n" },
                token => $bob->{token}))[0], 200, 'renamed';
        }, sub { grep { $_->{username} eq "bob$_[1]" } @{ $_[0]{items} } });
        $s->must(200, PATCH => '/v1/users/me', { username => 'bob' }, token => $bob->{token});
    }
};

subtest 'many in turn' => sub {
    my $stale = 0;
    for my $n (1 .. 150) {
        my $worker = int rand 2;
        ask($worker, PATCH => $path{network}, { description => "turn $n" }, token => $ada->{token});
        for my $reader (int rand 2, int rand 2) {
            my (undef, $json) = ask($reader, GET => $path{network}, undef, token => $ada->{token});
            $stale++ if $json->{description} ne "turn $n";
        }
    }
    is $stale, 0, 'no read after an own write is stale';
};

subtest 'a message ends nothing' => sub {
    warm($path{peers}, $bob->{token});
    my $hits = 0;
    for my $n (1 .. 10) {
        $s->must(201, POST => "/v1/networks/$network->{id}/messages", { content => "line $n" },
            token => $ada->{token});
        $hits++ if (ask($n & 1, GET => $path{peers}, undef, token => $bob->{token}))[2] eq 'HIT';
    }
    cmp_ok $hits, '>=', 8, "peers still come from the cache ($hits of 10)";
};

# ------------------------------------------------------------ what ends by force

sub everywhere {
    my ($what, $expected, $token, @paths) = @_;
    for my $path (@paths) {
        my @got = map { (ask($_, GET => $path, undef, token => $token))[0] } 0, 1, 0, 1;
        is "@got", join(' ', ($expected) x 4), "$what: $path";
    }
    return;
}

subtest 'sessions end' => sub {
    my $second = $s->login('bob');
    warm($_, $second->{token}) for values %path;
    warm($path{me}, $bob->{token});
    $s->must(204, POST => '/v1/auth/logout', undef, token => $second->{token});
    everywhere('logged out', 401, $second->{token}, values %path);
    everywhere('the other one goes on', 200, $bob->{token}, values %path);

    my $phone = $s->device($bob, name => 'phone');
    $s->must(201, POST => $path{peers}, { public_key => $s->wg_key }, token => $phone->{token});
    my @own = ($path{me}, $path{peers}, "/v1/devices/$phone->{id}/netmap");
    warm($_, $phone->{token}) for @own;
    $s->must(204, DELETE => "/v1/devices/$phone->{id}", undef, token => $bob->{token});
    everywhere('a device is deleted', 401, $phone->{token}, @own);
};

subtest 'roles and memberships' => sub {
    my $role = "/v1/tenants/$tenant->{id}/members/$bob->{id}";
    if ($route{members_update}) {
        for my $to (qw(admin moderator member)) {
            warm($path{network}, $bob->{token});
            $s->must(200, PATCH => $role, { role => $to }, token => $ada->{token});
            is +(ask($_, GET => $path{network}, undef, token => $bob->{token}))[1]{role}, $to,
                "bob is $to" for 0, 1;
        }
        my $carl = $s->register('carl');
        add_member($carl);
        my $carls = "/v1/tenants/$tenant->{id}/members/$carl->{id}";
        everywhere('who has not joined', 403, $carl->{token}, $path{peers});
        $s->must(200, PATCH => $carls, { role => 'admin' }, token => $ada->{token});
        warm($path{peers}, $carl->{token});
        $s->must(200, PATCH => $carls, { role => 'moderator' }, token => $ada->{token});
        everywhere('an admin no more', 403, $carl->{token}, $path{peers});
    }
    if ($route{networks_kick}) {
        warm($path{$_}, $bob->{token}) for qw(network peers);
        $s->must([ 200, 201, 204 ], POST => "$path{network}/kick", { user_id => $bob->{id} }, token => $ada->{token});
        everywhere('kicked', 403, $bob->{token}, $path{peers});
        join_network($bob);
        warm($path{$_}, $bob->{token}) for qw(network peers);
        $s->must([ 200, 201, 204 ], POST => "$path{network}/ban", { user_id => $bob->{id} }, token => $ada->{token});
        my @status = map { (ask($_, GET => $path{peers}, undef, token => $bob->{token}))[0] } 0, 1;
        is scalar(grep { /^40[34]$/ } @status), 2, "banned: @status";
        $s->must([ 200, 201, 204 ], POST => "$path{network}/unban", { user_id => $bob->{id} }, token => $ada->{token});
        join_network($bob);
    }
    warm($path{$_}, $bob->{token}) for qw(network peers);
    $s->must(204, POST => "$path{network}/leave", undef, token => $bob->{token});
    everywhere('left', 403, $bob->{token}, $path{peers});
    is +(ask($_, GET => $path{network}, undef, token => $bob->{token}))[1]{joined}, 0,
        'not joined any more' for 0, 1;
    join_network($bob);
    warm($path{network}, $bob->{token});
    $s->must(200, PATCH => $path{network}, { required_role => 'admin' }, token => $ada->{token});
    everywhere('a network that asks more', 404, $bob->{token}, $path{network}, $path{peers});
    $s->must(200, PATCH => $path{network}, { required_role => 'member' }, token => $ada->{token});
    join_network($bob);

    my $other = $s->must(201, POST => "/v1/tenants/$tenant->{id}/networks", { name => 'other' },
        token => $ada->{token});
    my $there = "/v1/networks/$other->{id}";
    warm($_, $ada->{token}) for $there, "$there/peers";
    $s->must(204, DELETE => $there, undef, token => $ada->{token});
    everywhere('deleted', 404, $ada->{token}, $there, "$there/peers");
};

subtest 'suspended' => sub {
    plan skip_all => 'FULL: there is no such route' if !$route{admin_users_suspend};
    my $dan = $s->register('dan');
    warm($path{me}, $dan->{token});
    $s->sql("UPDATE goconnect.users SET server_admin = true WHERE username = 'ada'");
    $s->must([ 200, 204 ], POST => "/v1/admin/users/$dan->{id}/suspend", {}, token => $ada->{token});
    everywhere('suspended', 401, $dan->{token}, $path{me});
};

# ------------------------------------------------------------------------ others

subtest 'another node' => sub {
    my $far = GoConnect::Server->start(workers => 1, cluster => $s->pg, database => $s->database,
        keys => do { open my $fh, '<', $s->dir . '/keys' or die $!; local $/; <$fh> },
        public_url => $s->url, server => $TOLD);
    for my $n (1 .. 5) {
        warm($path{network}, $bob->{token});
        $far->must(200, PATCH => $path{network}, { description => "far $n" }, token => $ada->{token});
        my ($json, $end) = (undef, time + 10);
        while (time < $end) {
            (undef, $json) = ask($n & 1, GET => $path{network}, undef, token => $bob->{token});
            last if $json->{description} eq "far $n";
            sleep 0.002;
        }
        is $json->{description}, "far $n", 'what another node has written is seen';
    }
    my $second = $far->login('bob');
    warm($path{peers}, $second->{token});
    $far->must(204, POST => '/v1/auth/logout', undef, token => $second->{token});
    my ($status, $end) = (0, time + 10);
    while (time < $end && $status != 401) {
        ($status) = ask(0, GET => $path{peers}, undef, token => $second->{token});
        sleep 0.002;
    }
    is $status, 401, 'and a session that ended there';
    $far->stop;
};

subtest 'without a bell' => sub {
    warm($path{network}, $bob->{token});
    my $ctx = "ROW('$ada->{id}', '$ada->{session_id}', NULL, NULL, 'test', NULL, NULL)::api_1.ctx";
    $s->sql("SELECT status FROM api_1.networks_update($ctx, '$network->{id}', "
        . q('{"description": "by nobody"}'::jsonb) . ')');
    my ($json, $end) = (undef, time + 10);
    while (time < $end) {
        (undef, $json) = ask(0, GET => $path{network}, undef, token => $bob->{token});
        last if $json->{description} eq 'by nobody';
        sleep 0.01;
    }
    is $json->{description}, 'by nobody', 'the sweep finds what nobody rang for';
};

subtest 'presence' => sub {
    my $watch = $s->ws(token => $bob->{token});
    $watch->expect('hello');
    $watch->ask(subscribe => { topics => [ { topic => "network:$network->{id}", seq => undef } ] });
    for my $state (qw(online offline online offline)) {
        warm($path{peers}, $bob->{token});
        my $netmap = "/v1/devices/$device{ada}{id}/netmap";
        warm($netmap, $ada->{token});
        if ($state eq 'online') {
            $device{ws} = $s->ws(token => $device{ada}{token});
            $device{ws}->expect('hello');
        } else {
            (delete $device{ws})->close;
        }
        my $heard;
        do { $heard = $watch->expect('peer_status') } until grep {
            $_->{peer_id} eq $peer{ada}{id} && $_->{status} eq $state
        } $heard->{data}, @{ $heard->{data}{peers} // [] };
        for my $worker (0, 1) {
            my (undef, $json) = ask($worker, GET => $path{peers}, undef, token => $bob->{token});
            my ($one) = grep { $_->{id} eq $peer{ada}{id} } @{ $json->{items} };
            is $one->{online} ? 'online' : 'offline', $state, "$state in the list, worker $worker";
            (undef, $json) = ask($worker, GET => $netmap, undef, token => $ada->{token});
            is $json->{self}{device}{online} ? 'online' : 'offline', $state, '  and in self';
        }
    }
    # a device without any peer is told of by itself
    my $lone = $s->device($ada, name => 'lone');
    warm($path{me}, $lone->{token});
    my $ws = $s->ws(token => $lone->{token});
    $ws->expect('hello');
    my ($json, $end) = (undef, time + 10);
    while (time < $end) {
        (undef, $json) = ask(0, GET => $path{me}, undef, token => $lone->{token});
        last if $json->{device}{online};
        sleep 0.01;
    }
    ok $json->{device}{online}, 'a device without peers sees itself online';
    $ws->close;
    $watch->close;
};

# ----------------------------------------------------------------------- accidents

subtest 'the bus is lost' => sub {
    warm($path{peers}, $bob->{token});
    $s->pg->sql('postgres', "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
        . "WHERE usename = 'goconnect' AND query LIKE 'LISTEN%'");
    my ($cache, $end) = ('HIT', time + 10);
    while (time < $end && $cache eq 'HIT') {
        (undef, undef, $cache) = ask(0, GET => $path{peers}, undef, token => $bob->{token});
    }
    is $cache, 'MISS', 'nothing that was kept is trusted';
    warm($path{peers}, $bob->{token});
};

subtest 'reload' => sub {
    warm($path{peers}, $bob->{token});
    $s->reload;
    @ua = connections($s);
    warm($path{peers}, $bob->{token});
    for my $cache ('off', 'zone=256k', 'zone=4m') {
        $s->write_config(cache => $cache);
        $s->reload;
        @ua = connections($s);
        if ($cache eq 'off') {
            my @got = map { (ask($_, GET => $path{peers}, undef, token => $bob->{token}))[2] } 0, 1, 0, 1;
            is "@got", '   ', 'off: no cache';
        } else {
            warm($path{peers}, $bob->{token});
        }
        is +(ask(0, GET => $path{peers}, undef, token => $bob->{token}))[0], 200, "$cache: answers";
    }
};

subtest 'more than it holds' => sub {
    $s->write_config(cache => 'zone=256k');
    $s->reload;
    @ua = connections($s);
    my $wrong = 0;
    for my $round (1 .. 2) {
        for my $limit (1 .. 100) {
            for my $user ($ada, $bob) {
                my ($status, $json) = ask($limit & 1, GET => "$path{peers}?limit=$limit", undef,
                    token => $user->{token});
                $wrong++ if $status != 200 || @{ $json->{items} } > $limit;
            }
        }
    }
    is $wrong, 0, 'old answers give way to new ones';
    warm($path{peers}, $bob->{token});
    $s->write_config(cache => 'zone=4m');
    $s->reload;
};

subtest 'workers are killed' => sub {
    delete $s->{baseline};
    my $load = GoConnect::Load->start($s, clients => 12, request => sub {
        return (GET => (values %path)[ $_[0] % 4 ], undef,
            token => ($ada, $bob)[ $_[0] % 4 == 3 ? 1 : $_[0] & 1 ]{token})
            if $_[0] % 10;
        return (PATCH => $path{network}, { description => "load $_[0]" }, token => $ada->{token});
    });
    for (1 .. 8) {
        sleep 0.15;
        $s->kill_worker;
    }
    my $result = $load->stop;
    my %status = %{ $result->{status} };
    delete @status{qw(0 200 404)};    # 404: ada asks for bob's device
    is_deeply \%status, {}, 'nobody gets a wrong answer' or diag explain $result->{status}, $result->{code};
    @ua = connections($s);
    warm($path{$_}, $bob->{token}) for sort keys %path;
    written('after it', $ada, $path{network}, sub {
        my ($worker, $n) = @_;
        ask($worker, PATCH => $path{network}, { description => "after $n" }, token => $ada->{token});
    }, sub { $_[0]{description} eq "after $_[1]" });
};

undef @ua;
$s->stop;
done_testing;
