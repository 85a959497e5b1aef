#!/usr/bin/perl
# nginx -t: every bad value of a directive is refused with a line that says
# what is expected, and never with the password of the database in it.

use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use lib dirname(abs_path(__FILE__)) . '/../lib';
use Test::More;
use GoConnect::Server;

my $s = GoConnect::Server->start;
my $keys = $s->dir . '/keys';

# The configuration of the server with one directive replaced.
sub tested {
    my ($directive, $line) = @_;
    $s->write_config;
    my $file = $s->dir . '/nginx.conf';
    open my $in, '<', $file or die "$file: $!";
    my $conf = do { local $/; <$in> };
    $conf =~ s/^\s*$directive\b[^;]*;/$line/m or die "no $directive in the configuration";
    $s->write_file('nginx.conf', $conf);
    my ($status, $said) = $s->config_test;
    $s->write_config;
    return ($status, $said);
}

sub refused {
    my ($directive, $line, $message) = @_;
    my ($status, $said) = tested($directive, $line);
    my $name = $line || "no $directive";
    isnt $status, 0, "refused: $name" or return;
    like $said, $message, '  and says why';
    return;
}

sub accepted {
    my ($directive, $line) = @_;
    my ($status, $said) = tested($directive, $line);
    is $status, 0, "accepted: $line" or diag $said;
    return;
}

subtest 'goconnect_pool' => sub {
    refused('goconnect_pool', 'goconnect_pool read=0;', qr/expected read=1 to read=64/);
    refused('goconnect_pool', 'goconnect_pool read=65;', qr/expected read=1 to read=64/);
    refused('goconnect_pool', 'goconnect_pool depth=x;', qr/expected depth=1 to depth=64/);
    refused('goconnect_pool', 'goconnect_pool write=;', qr/expected write=1 to write=64/);
    refused('goconnect_pool', 'goconnect_pool bulk=-1;', qr/expected bulk=1 to bulk=64/);
    refused('goconnect_pool', 'goconnect_pool reads=4;',
        qr/"reads=4".*expected read=N, depth=N, write=N or bulk=N/);
    refused('goconnect_pool', 'goconnect_pool read=1 read=2;', qr/"read=2" is duplicate/);
    refused('goconnect_pool', 'goconnect_pool;', qr/invalid number of arguments/);
    accepted('goconnect_pool', 'goconnect_pool write=1;');
    accepted('goconnect_pool', '');
};

subtest 'goconnect_cache' => sub {
    for my $value ('zone=', 'zone=100k', 'zone=x', 'zone=-1m', '16m', 'on', 'size=16m') {
        refused('goconnect_cache', "goconnect_cache $value;",
            qr/"\Q$value\E" is not a size; expected zone=SIZE of 256k or more, such as zone=16m, or off/);
    }
    refused('goconnect_cache', 'goconnect_cache zone=1m; goconnect_cache off;', qr/is duplicate/);
    refused('goconnect_cache', 'goconnect_cache;', qr/invalid number of arguments/);
    accepted('goconnect_cache', "goconnect_cache $_;") for qw(zone=256k zone=64m off);
    accepted('goconnect_cache', '');
};

subtest 'goconnect_compression' => sub {
    $s->write_config(http => 'goconnect_compression netmap;');
    refused('goconnect_compression', "goconnect_compression $_;", qr/takes "netmap" or "off"/)
        for qw(on all 1);
    refused('goconnect_compression', 'goconnect_compression off; goconnect_compression off;',
        qr/is duplicate/);
    refused('goconnect_compression', 'goconnect_compression;', qr/invalid number of arguments/);
    accepted('goconnect_compression', "goconnect_compression $_;") for qw(netmap off);
    accepted('goconnect_compression', '');
};

subtest 'goconnect_bus' => sub {
    $s->write_config(http => 'goconnect_bus notify;');
    my $file = $s->dir . '/redis-password';
    my $no = sub { refused('goconnect_bus', "goconnect_bus $_[0];", $_[1]) };
    my $expected = qr{expected notify, redis://\[USER\@\]HOST\[:PORT\]\[/DB\] or unix:PATH};
    $no->($_, $expected) for 'redis', 'Notify', 'http://127.0.0.1', '127.0.0.1:6379', 'notify x=y';
    $no->('rediss://127.0.0.1', qr/Redis over TLS is not supported.*$expected/);
    $no->($_, qr{names no socket; expected unix:/PATH}) for 'unix:', 'unix:run/redis';
    $no->('unix:/' . 'x' x 108, qr/the path of the socket is too long, at most 107 bytes/);
    $no->('redis://', qr/no host in ""/);
    $no->('redis://127.0.0.1:x', qr/invalid port in "127\.0\.0\.1:x"/);
    $no->('redis://127.0.0.1:70000', qr/invalid port/);
    $no->('redis://no.such.host.invalid', qr/host not found in "no\.such\.host\.invalid"/);
    $no->("redis://127.0.0.1/$_", qr{after "/" stands the number of a database}) for 'x', -1, 65536;
    $no->('redis://ada@127.0.0.1', qr/a user needs password_file=FILE/);
    for my $url ('redis://ada:hunter2@127.0.0.1', 'redis://:hunter2@127.0.0.1', 'redis://@127.0.0.1') {
        my ($status, $said) = tested('goconnect_bus', "goconnect_bus $url;");
        isnt $status, 0, "refused: $url";
        like $said, qr/a user's name alone; the password comes from password_file=FILE/, '  and says why';
        unlike $said, qr/hunter2/, '  but not the password';
    }
    $no->('notify; goconnect_bus notify', qr/is duplicate/);
    $no->('redis://127.0.0.1 password=hunter2', qr/unknown parameter; expected password_file=FILE/);
    $no->('redis://127.0.0.1 password_file=', qr/unknown parameter/);
    $no->("redis://127.0.0.1 password_file=$file", qr/cannot open "\Q$file\E"/);
    for my $text ('', "\nx\n", 'x' x 513) {
        $s->write_file('redis-password', $text, 0600);
        $no->("redis://127.0.0.1 password_file=$file", qr/has no password in its first line, or one above 512/);
    }
    $s->write_file('redis-password', "hunter2\n", 0640);
    $no->("redis://127.0.0.1 password_file=$file", qr/is open to others; expected .* mode 0600/);
    $no->('redis://127.0.0.1 password_file=' . $s->dir, qr/is not a regular file/);
    $s->write_file('redis-password', "hunter2\n", 0600);
    accepted('goconnect_bus', "goconnect_bus $_;") for 'notify', 'redis://127.0.0.1',
        'redis://localhost:6380/3', 'redis://[::1]:6379/', 'unix:/run/redis/redis.sock',
        "redis://ada\@127.0.0.1 password_file=$file", "unix:/run/r.sock password_file=$file";
    $s->write_config(http => '');
};

subtest 'goconnect_database' => sub {
    my $bad = sub {
        my ($conninfo, $message) = @_;
        my ($status, $said) = tested('goconnect_database',
            "goconnect_database \"$conninfo password=hunter2\";");
        isnt $status, 0, "refused: $conninfo";
        like $said, $message, '  and says why';
        like $said, qr/expected a libpq connection string, such as "host=/, '  and what is expected';
        unlike $said, qr/hunter2/, '  but not the password';
    };
    $bad->('hoost=/run', qr/invalid connection option "hoost"/);
    $bad->('host', qr/missing "=" after "host"/);
    $bad->('host=/run port=0', qr/bad port "0"/);
    $bad->('host=/run port=65536', qr/bad port "65536"/);
    $bad->('host=/run port=1,2', qr/neither one port nor one for each host/);
    $bad->('host=/a,/b hostaddr=127.0.0.1', qr/different numbers of hosts/);
    $bad->('host=no.such.host.invalid', qr/host "no\.such\.host\.invalid" not found/);
    $bad->('host=./run', qr/host ".\/run" not found \(a folder of a UNIX socket begins with/);
    $bad->('host=/' . 'x' x 100, qr/path that is too long/);
    $bad->('service=goconnect', qr/a service file cannot be used/);
    refused('goconnect_database', 'goconnect_database "";', qr/is empty/);
    refused('goconnect_database', '', qr/needs "goconnect_database CONNINFO"/);
    accepted('goconnect_database', 'goconnect_database "host=localhost,127.0.0.1 port=5432 dbname=x";');
    accepted('goconnect_database', 'goconnect_database "postgresql://gc@/x?host=/run/postgresql";');
};

subtest 'goconnect_public_url' => sub {
    for my $url ('example.org', 'ftp://example.org', 'http://', 'https://a/b', 'https://a?b',
        'https://a:b', 'https://a:99999', 'https://u@a') {
        refused('goconnect_public_url', "goconnect_public_url $url;",
            qr{"\Q$url\E" is not an address; expected https://HOST or https://HOST:PORT});
    }
    accepted('goconnect_public_url', "goconnect_public_url $_;")
        for qw(https://example.org https://example.org/ http://localhost:8080 https://[::1]:8443);
};

subtest 'goconnect_cors_origin' => sub {
    $s->write_config(http => 'goconnect_cors_origin http://first.example;');
    refused('goconnect_cors_origin', 'goconnect_cors_origin *;',
        qr{goconnect_cors_origin: "\*" is not an address; expected https://HOST});
    refused('goconnect_cors_origin', 'goconnect_cors_origin https://a.example https://b/c;',
        qr{"https://b/c" is not an address});
    accepted('goconnect_cors_origin', 'goconnect_cors_origin https://a.example http://b.example:8080;');
    $s->write_config(http => '');
};

subtest 'goconnect_thread_pool' => sub {
    refused('goconnect_thread_pool', 'goconnect_thread_pool nobody;', qr/unknown thread pool "nobody"/);
    refused('goconnect_thread_pool', '', qr/needs "goconnect_thread_pool NAME.*thread_pool NAME threads=2;/);
    accepted('goconnect_thread_pool', 'goconnect_thread_pool default;');
};

subtest 'goconnect_keys' => sub {
    open my $fh, '<', $keys or die "$keys: $!";
    my $good = do { local $/; <$fh> };
    my $try = sub {
        my ($name, $text, $message, $mode) = @_;
        $s->write_file('other-keys', $text, $mode // 0600);
        refused('goconnect_keys', 'goconnect_keys ' . $s->dir . '/other-keys;', $message);
        unlink $s->dir . '/other-keys';
    };
    $try->('open', $good, qr/is open to others; expected mode 0600: chmod 600/, 0644);
    $try->('group', $good, qr/is open to others/, 0640);
    $try->('purpose', "jwx a b\n", qr/unknown purpose; expected jwt, invite, seal, audit or relay, line 1/);
    $try->('secret', "# x\njwt a AAAA\n", qr/expected 32 bytes in base64 \(44 characters\), line 2/);
    $try->('empty', '', qr/there is no key in it/);
    $try->('large', '#' x 70_000, qr/is larger than/);
    for my $purpose (qw(jwt invite seal)) {
        (my $without = $good) =~ s/^$purpose.*\n//m;
        $try->('incomplete', $without,
            qr/has no key for "$purpose"; expected a line "$purpose ID BASE64"/);
    }
    refused('goconnect_keys', 'goconnect_keys /nonexistent/keys;', qr/cannot open "\/nonexistent\/keys"/);
    refused('goconnect_keys', 'goconnect_keys /dev;', qr/not a regular file|cannot open/);
    refused('goconnect_keys', '', qr/needs "goconnect_keys FILE"/);
    my $secret = ($good =~ /(\S{44})$/m)[0];
    my (undef, $said) = tested('goconnect_keys', "goconnect_keys $keys extra;");
    unlike $said, qr/\Q$secret\E/, 'no secret is shown';
};

subtest 'locations' => sub {
    my $try = sub {
        $s->write_config(server => shift);
        my @result = $s->config_test;
        $s->write_config(server => '');
        return @result;
    };
    my ($status, $said) = $try->('location /x { goconnect_api; goconnect_ws; }');
    isnt $status, 0, 'one location is not both';
    like $said, qr/"goconnect_ws" directive is duplicate, or the location is another module's/, '  and says why';
    ($status, $said) = $try->('location /x { goconnect_api on; }');
    isnt $status, 0, 'no argument';
};

$s->reload;
is $s->wait_ready, $s, 'and after all that the server reloads its good configuration';
$s->stop;
done_testing;
