<?php
// Installs the site in the folder it is run in, by WordPress' own installer, and takes away the sample content.
define('WP_INSTALLING', true);
require __DIR__ . '/visitor.php';

// WordPress mails the new owner unless this function exists before its own does.
function wp_new_blog_notification(...$ignored)
{
}

require getcwd() . '/wp-load.php';
require_once ABSPATH . 'wp-admin/includes/upgrade.php';

wp_install('A small office', 'owner', 'owner@canary.example', false, '', wp_generate_password());
wp_update_user(['ID' => 1, 'display_name' => 'Olivia Canary']);

$options = [
    'timezone_string' => 'Europe/Amsterdam',
    'gmt_offset' => '',
    'comment_moderation' => 0,
    'comment_previously_approved' => 0,
    'comments_notify' => 0,
    'moderation_notify' => 0,
    'thread_comments' => 1,
    'thread_comments_depth' => 5,
    'permalink_structure' => '/%postname%/',
];
foreach ($options as $name => $value) {
    update_option($name, $value);
}
switch_theme('plain');

foreach (get_posts(['post_type' => ['post', 'page'], 'post_status' => 'any', 'numberposts' => -1]) as $sample) {
    wp_delete_post($sample->ID, true);
}
