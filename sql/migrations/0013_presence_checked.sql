-- Whether those who came by a piece of news were looked at once more, for the
-- peers that they got while it was written.
ALTER TABLE goconnect.presence_news ADD COLUMN checked boolean NOT NULL DEFAULT false;
