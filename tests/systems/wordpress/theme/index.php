<!doctype html>
<html <?php language_attributes(); ?>>
<head><meta charset="<?php bloginfo('charset'); ?>"><?php wp_head(); ?></head>
<body>
<?php while (have_posts()) : the_post(); ?>
<article id="post-<?php the_ID(); ?>">
<h1><?php the_title(); ?></h1>
<?php the_content(); ?>
<p class="count"><?php comments_number('0 comments', '1 comment', '% comments'); ?></p>
<?php if (is_singular()) { comments_template(); } ?>
</article>
<?php endwhile; ?>
<?php wp_footer(); ?>
</body>
</html>
