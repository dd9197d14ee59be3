<?php
// The configuration of a private site. Everything that differs from site to site comes from the environment.
define('DB_NAME', getenv('SITE_DATABASE'));
define('DB_HOST', getenv('SITE_DATABASE_HOST'));
define('DB_USER', getenv('SITE_DATABASE_USER'));
define('DB_PASSWORD', getenv('SITE_DATABASE_PASSWORD'));
define('DB_CHARSET', 'utf8mb4');
define('DB_COLLATE', '');
$table_prefix = 'wp_';

// Nobody can log in to this site from elsewhere and it lives for minutes: its salts need not be secret.
foreach (['AUTH', 'SECURE_AUTH', 'LOGGED_IN', 'NONCE'] as $name) {
    define("{$name}_KEY", "key of $name");
    define("{$name}_SALT", "salt of $name");
}

// The port is chosen after the installation, so the site's address is the one that was asked for.
$site_address = getenv('SITE_ADDRESS') ?: 'http://' . $_SERVER['HTTP_HOST'];
define('WP_HOME', $site_address);
define('WP_SITEURL', $site_address);

// Nothing leaves this machine and nothing happens behind the tests' back.
define('WP_HTTP_BLOCK_EXTERNAL', true);
define('AUTOMATIC_UPDATER_DISABLED', true);
define('DISABLE_WP_CRON', true);
define('DISALLOW_FILE_MODS', true);
define('WP_DEFAULT_THEME', 'plain');
define('WP_DEBUG', false);
// Application passwords without TLS: WordPress takes them on a site that calls itself local, and ignores them on any other.
define('WP_ENVIRONMENT_TYPE', 'local');

if (!defined('ABSPATH')) {
    define('ABSPATH', __DIR__ . '/');
}
require_once ABSPATH . 'wp-settings.php';
