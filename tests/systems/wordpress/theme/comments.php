<ol class="comments">
<?php wp_list_comments(['type' => 'comment']); ?>
</ol>
<?php comment_form(); ?>
