<?php
// Makes posts and comments the way a site comes by them: WordPress' own functions, told what to make on standard input,
// answering with what WordPress then says it has.
require __DIR__ . '/visitor.php';
require getcwd() . '/wp-load.php';

$told = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);

function made($result, $what)
{
    if (!$result || is_wp_error($result)) {
        fwrite(STDERR, "WordPress did not make $what: " . (is_wp_error($result) ? $result->get_error_message() : '') . "\n");
        exit(1);
    }
    return $result;
}

$posts = [];
foreach ($told['posts'] as $post) {
    $posts[$post['label']] = made(wp_insert_post([
        'post_title' => $post['title'],
        'post_content' => 'Ask us below.',
        'post_status' => 'publish',
        'post_author' => 1,
        'post_date_gmt' => $told['post_date_gmt'],
        'post_date' => get_date_from_gmt($told['post_date_gmt']),
        'comment_status' => 'open',
    ], true), 'a post');
}

$ids = [];
foreach ($told['comments'] as $comment) {
    // Everything arrives as a visitor's comment and passes WordPress' checks; only then it is moderated.
    $ids[$comment['label']] = $id = made(wp_new_comment([
        'comment_post_ID' => $posts[$comment['post']],
        'comment_parent' => $comment['parent'] === '' ? 0 : $ids[$comment['parent']],
        'comment_author' => $comment['author'],
        'comment_author_email' => $comment['owner'] ? get_userdata(1)->user_email : $comment['email'],
        'comment_author_url' => $comment['owner'] ? '' : $comment['url'],
        'comment_author_IP' => $comment['ip'],
        'comment_agent' => $comment['agent'],
        'comment_content' => $comment['content'],
        'comment_type' => 'comment',
        'comment_date_gmt' => $comment['date_gmt'],
        'comment_date' => get_date_from_gmt($comment['date_gmt']),
        'user_id' => $comment['owner'] ? 1 : 0,
    ], true), $comment['label']);

    // What a spam filter and a "tell me about replies" box leave behind: personal data beside the comment's own row.
    add_comment_meta($id, 'spamfilter_as_submitted', [
        'comment_author' => $comment['author'],
        'comment_author_email' => $comment['owner'] ? get_userdata(1)->user_email : $comment['email'],
        'user_ip' => $comment['ip'],
        'user_agent' => $comment['agent'],
    ]);
    add_comment_meta($id, 'consent_ip', $comment['meta_ip']);
    if (!$comment['owner']) {
        add_comment_meta($id, 'reply_notice_to', $comment['email']);
    }
}

foreach ($told['comments'] as $comment) {
    $id = $ids[$comment['label']];
    match ($comment['status']) {
        'approved' => true,
        'pending' => made(wp_set_comment_status($id, 'hold'), 'a pending comment'),
        'spam' => made(wp_spam_comment($id), 'a spam comment'),
        'trash' => made(wp_trash_comment($id), 'a comment in the trash'),
    };
}

$words = ['approved' => 'approved', 'unapproved' => 'pending', 'spam' => 'spam', 'trash' => 'trash'];
$comments = [];
foreach ($ids as $label => $id) {
    clean_comment_cache($id);
    $row = get_comment($id);
    $comments[$label] = [
        'id' => $row->comment_ID,
        'post' => $row->comment_post_ID,
        'parent' => $row->comment_parent,
        'author' => $row->comment_author,
        'email' => $row->comment_author_email,
        'url' => $row->comment_author_url,
        'ip' => $row->comment_author_IP,
        'agent' => $row->comment_agent,
        'content' => $row->comment_content,
        'status' => $words[wp_get_comment_status($id)],
        'date_gmt' => $row->comment_date_gmt,
        'user_id' => $row->user_id,
    ];
}
echo json_encode(['posts' => $posts, 'comments' => $comments], JSON_THROW_ON_ERROR);
