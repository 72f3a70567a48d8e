"""The database."""


def migrate() -> None:
    """Bring the database to the version of this hedgerow."""
    import asyncio

    from hedgerow.cli.operator import read_settings

    settings = read_settings()

    async def bring_up_to_date() -> None:
        from hedgerow.app import open_database
        from hedgerow.local_files import make_data_dir

        make_data_dir(settings.data_dir)
        async with open_database(settings):
            pass

    asyncio.run(bring_up_to_date())
    print("The database is up to date.")
