# What this device does differently in a network, and two networks that it
# cannot be in at once.

use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib", "$FindBin::Bin/../lib";
use AgentTest;
use Test::More;

my ($lab, $plane, $a) = lab_with_agent(login => 1);
my $lan = $plane->network('Lan');
$a->must('join', $lan->{link});

sub link_mtu { $a->host->must('ip', '-o', 'link', 'show', 'gc-lan') =~ /mtu (\d+)/ ? $1 : 0 }
sub network { my ($name) = @_; (grep { $_->{name} eq $name } @{ $a->json('status')->{networks} })[0] }

subtest 'mtu' => sub {
    is link_mtu(), 1420, 'is the network\'s';
    is $a->must('set', 'lan'), "mtu            auto\n", 'and said so';

    is $a->must('set', 'lan', 'mtu', '1380'), "mtu            1380\n", 'another one';
    ok until_true(sub { link_mtu() == 1380 }), '... is in effect';
    is network('Lan')->{settings}{mtu}, 1380, '... and shown';

    $a->stop('KILL');
    $a->daemon;
    ok until_true(sub { link_mtu() == 1380 && network('Lan')->{settings}{mtu} == 1380 }), '... and kept';

    is_deeply $a->json('set', 'lan', 'mtu', 'auto')->{settings}, { mtu => undef }, 'the network\'s again';
    ok until_true(sub { link_mtu() == 1420 }), '... is in effect';
};

subtest 'what is no setting' => sub {
    for my $case ([ 'mtu', '1279', qr/mtu is 1280 to 9000, or auto/ ], [ 'mtu', '9001', qr/1280 to 9000/ ],
        [ 'mtu', '0', qr/1280 to 9000/ ], [ 'mtu', 'much', qr/not "much"/ ], [ 'mtu', '', qr/not ""/ ],
        [ 'mtu', '1e9', qr/not "1e9"/ ], [ 'mtu', '99999999999999999999', qr/mtu is a number/ ],
        [ 'size', '1', qr/no setting "size" \(goconnect help set\)/ ]) {
        my ($name, $value, $why) = @$case;
        my ($status, $said) = $a->cli('set', 'lan', $name, $value);
        is $status, 2, "$name \"$value\" is wrong usage";
        like $said, $why, '... and why';
    }

    my ($status, $said) = $a->cli('set', 'lan', 'mtu');
    is $status, 2, 'a name without a value is wrong usage';
    like $said, qr/"mtu" has no value/, '... and why';
    ($status, $said) = $a->cli('set', 'lan', 'mtu', '1300', 'size', '1');
    is $status, 2, 'one of two that is none';
    is network('Lan')->{settings}{mtu}, undef, '... changes nothing';
    ($status) = $a->cli('set', 'nothing', 'mtu', '1300');
    is $status, 2, 'a network that this device is not in';
};

subtest 'two networks that overlap' => sub {
    my $other = $plane->network('Other', { cidr => $lan->{cidr} });
    my ($status, $said) = $a->cli('join', $other->{link});
    isnt $status, 0, 'cannot be up at once';
    like $said, qr/overlaps the one of "Lan".*goconnect down/, 'and it is said with which';
    is network('Other')->{state}, 'failed', 'the second one waits';
    like network('Other')->{error}, qr/overlaps the one of "Lan"/, '... and says why';
    is network('Lan')->{state}, 'up', 'the first one stays';

    ($status, $said) = $a->cli('up', 'other');
    isnt $status, 0, 'nor by up';
    like $said, qr/"Other": its range .* overlaps the one of "Lan"/, '... which names both';

    $a->stop('KILL');
    $a->daemon;
    ok until_true(sub { network('Lan')->{state} eq 'up' && network('Other')->{state} eq 'failed' }),
        'a restart changes nothing of it';

    $a->must('down', 'lan');
    ok until_true(sub { network('Other')->{state} eq 'up' }), 'with the first one down, the second is up';
    is network('Other')->{error}, undef, '... without a problem';
};

subtest 'a local network that overlaps' => sub {
    my $home = $plane->network('Home', { cidr => '10.88.1.0/24' });
    $a->must('join', $home->{link});
    is network('Home')->{overlap}, undef, 'none does';
    $a->host->must('ip', 'address', 'add', '10.88.200.5/16', 'dev', 'eth0');
    ok until_true(sub { (network('Home')->{overlap} // '') =~
        m{\Qits range 10.88.1.0/24 overlaps 10.88.0.0/16, a local\E} }), 'it is said, with both';
    is network('Home')->{state}, 'up', '... the network stays';
    like $a->must('status'), qr/problem\s+its range 10\.88\.1\.0/, 'goconnect status says it';
    like +($a->cli('doctor'))[1], qr{Home is up on gc-home, but its range}, 'so does goconnect doctor';
    $a->host->must('ip', 'address', 'del', '10.88.200.5/16', 'dev', 'eth0');
    ok until_true(sub { !defined network('Home')->{overlap} }), 'and it is over when it is gone';
};

done_testing;
